/*
 * tests/support/tiny_text.h - tests/fixtures/tiny-text as a model that runs: its files copied into a folder, and random
 * weights beside them.
 */
#ifndef ATTUNE_TESTS_SUPPORT_TINY_TEXT_H
#define ATTUNE_TESTS_SUPPORT_TINY_TEXT_H

/* Large enough that answers differ and gradients are far from zero. */
#define TINY_TEXT_DEVIATION 0.2

/* Makes the model folder `folder`; fails the running test where it cannot. */
void tiny_text_make(const char *folder);

#endif
