/* Which versions of a function are compiled, and which one the C library chooses.

   Source is GNU C for any machine; where the C library can choose among versions, there is one for each vector unit. */

#ifndef SNNC_VERSIONS
#define SNNC_VERSIONS

#if !defined(SNNC_ONE_VERSION) && defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define VERSIONS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define CHOOSES 1
#else
#define VERSIONS
#define CHOOSES 0
#endif

#endif
