/* tests/backend/helper_cases.c - see helper_cases.h. */
#include "helper_cases.h"

void case_finish(struct op_case *c, case_visit visit, void *context)
{
    visit(c, context);
    op_free(c);
}

void cases_each(enum backend_operation operation, case_visit visit, void *context)
{
    switch (operation) {
#define X(name, args)                                                                                                  \
    case BACKEND_##name:                                                                                               \
        cases_##name(visit, context);                                                                                  \
        break;
        BACKEND_OPERATIONS(X)
#undef X
    case BACKEND_OPERATION_COUNT:
        break;
    }
}
