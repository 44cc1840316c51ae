/* quamba modes: the table of datapaths. */
#include "cli/cli.h"

#include <string.h>

static int list_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; quamba_datapath_at(i) != NULL; i++) {
        const quamba_datapath *row = quamba_datapath_at(i);
        json_array_append_new(list, json_pack("{s:s, s:s}", "id", quamba_datapath_id(row),
                                              "summary", quamba_datapath_summary(row)));
    }
    int status = qc_print_json(list);
    json_decref(list);
    return status;
}

static int list_table(void)
{
    qc_table *table = qc_table_new((const char *const[]){"mode", "summary"}, 2);
    if (table == NULL) return qc_fail_memory();
    for (size_t i = 0; quamba_datapath_at(i) != NULL; i++) {
        const quamba_datapath *row = quamba_datapath_at(i);
        qc_table_cell(table, "%s", quamba_datapath_id(row));
        qc_table_cell(table, "%s", quamba_datapath_summary(row));
    }
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

static int run(const qc_options *opt)
{
    if (strcmp(opt->args[0], "list") != 0)
        return qc_fail(QC_USAGE, "modes: \"%s\" is not known: quamba modes list", opt->args[0]);
    int status = opt->json ? list_json() : list_table();
    return status != QC_OK ? status : qc_finish_output();
}

const qc_command qc_cmd_modes = {
    .name = "modes",
    .usage = "list",
    .summary = "list the numerical datapaths that --mode chooses from",
    .description = "A mode says in which number format a value travels from one operator to the "
                   "next.  On an unquantized checkpoint the default is fp32.",
    .examples = "quamba modes list\n"
                "quamba modes list --json\n",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
