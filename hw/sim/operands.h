/* Operands on which binary32 arithmetic goes wrong first. */
#ifndef SIM_OPERANDS_H
#define SIM_OPERANDS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Triple number i of an endless sequence, as bit patterns: specials, subnormals, neighbours of
 * powers of two, products that c almost or wholly takes away, quotients near a tie. */
void sim_operands(unsigned int i, unsigned int *a, unsigned int *b, unsigned int *c);

#ifdef __cplusplus
}
#endif
#endif
