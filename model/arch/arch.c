/* model/arch/arch.c - see arch.h. */
#include "model/arch/arch.h"
#include "model/arch/internal.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct architecture *const architectures[] = {&architecture_llama};

const struct architecture *architecture_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        for (const char *const *type = architectures[i]->model_types; *type; type++) {
            if (strcmp(*type, model_type) == 0) {
                return architectures[i];
            }
        }
    }
    return NULL;
}

const char *path_leaf(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

void architecture_tensor_name(char out[TENSOR_NAME_MAX], const struct architecture *architecture, enum tensor_role role)
{
    assert(architecture->modules[role]);
    snprintf(out, TENSOR_NAME_MAX, "%s.weight", architecture->modules[role]);
}
