/* tests/support/real.c - see real.h. */
#include "support/real.h"
#include "base/file.h"
#include "support/sanitized.h"
#include <stdio.h>
#include <stdlib.h>

const char *real_model(void)
{
    const char *folder = getenv("ATTUNE_TEST_MODEL");
    if (SANITIZED) {
        printf("skipped: a real model takes too long under sanitizers\n");
        return NULL;
    }
    if (!folder || !file_is_dir(folder)) {
        printf("skipped: ATTUNE_TEST_MODEL names no folder; give one with SmolLM2-135M-Instruct\n");
        return NULL;
    }
    return folder;
}

const char *real_data(const char *name)
{
    static char path[1024];
    const char *folder = getenv("ATTUNE_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : ATTUNE_FIXTURES "/../../../shared/data", name);
    if (!file_exists(path)) {
        printf("skipped: %s is not there; ATTUNE_TEST_DATA names the folder of the test data\n", path);
        return NULL;
    }
    return path;
}
