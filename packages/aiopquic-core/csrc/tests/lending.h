/* Bytes that a test lends: their release is checked and counted. */
#ifndef AIOPQ_TESTS_LENDING_H
#define AIOPQ_TESTS_LENDING_H

#include "aiopquic/lent.h"

/* Memory of the test's for `length` bytes, which the caller fills, and their release. It must come once, on the thread
 * that called this, and spoils the bytes. */
aiopq_lent_t lending_make(size_t length);

/* What lending_make() gave and nobody released. */
int64_t lending_count(void);

#endif
