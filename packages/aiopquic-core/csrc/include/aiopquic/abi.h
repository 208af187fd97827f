/* The contract between libaiopquic.so and extensions built by other wheels. */
#ifndef AIOPQUIC_ABI_H
#define AIOPQUIC_ABI_H

#if defined(__GNUC__)
#define AIOPQ_API __attribute__((visibility("default")))
#else
#define AIOPQ_API
#endif

/* Raised whenever a public structure or prototype changes. An extension compares the number it was
 * compiled with to aiopq_abi_version() at import and refuses to load when they differ. */
#define AIOPQ_ABI_VERSION 6

AIOPQ_API int aiopq_abi_version(void);

/* picoquic commit, picotls commit and compile definitions. h3zero shares picoquic's private
 * structures, so an extension that compiles it must have been built against this very string. */
AIOPQ_API const char *aiopq_build_id(void);

/* Versions for people: picoquic's own number and the OpenSSL that is loaded at run time. */
AIOPQ_API const char *aiopq_picoquic_version(void);
AIOPQ_API const char *aiopq_openssl_version(void);

#endif
