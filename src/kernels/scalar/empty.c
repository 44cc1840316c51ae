/* filled in the next commit */ typedef int qm_empty;
