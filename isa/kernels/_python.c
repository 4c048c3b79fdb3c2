/* Kernels as functions of Python's own, which take a tenth of the time that ctypes takes to call them.  Where the headers of
   Python are not there, nothing is here, and ctypes serves. */

#if __has_include(<Python.h>)

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sched.h>
#include <string.h>

#include "_vector.h"

struct plan;
struct box;

int64_t snnc_contract(const struct plan *plan, const void *left, int64_t bit, const void *right, void *out, int32_t fresh, void *space);
int64_t snnc_contract_columns(const struct plan *plan);
int64_t snnc_element(const struct element *plan, const int64_t *at, const uint32_t *arguments, char *room);
int64_t snnc_drain(const struct drain *plan, const int64_t *at);
int64_t snnc_pool_sum(const struct window *plan, const int64_t *at);
int64_t snnc_pool_max(const struct window *plan, const int64_t *at);
int64_t snnc_unpool(const struct window *plan, const int64_t *at);
int64_t snnc_mean(const struct moments *plan, const int64_t *at, int64_t count);
int64_t snnc_comoment(const struct moments *plan, const int64_t *at, int64_t count);
int64_t snnc_move(const struct box *box, int64_t address, int64_t start);

#define MOST 7

/* Kernels: how many arguments they take, which of these is the room to work in (-1: none), and what they are called with. */
#define KERNELS(EACH)                                                                                                  \
    EACH(snnc_contract, 7, 6, AT(0), AT(1), words[2], AT(3), AT(4), (int32_t)words[5], room)                            \
    EACH(snnc_element, 4, 3, AT(0), AT(1), AT(2), room)                                                                \
    EACH(snnc_drain, 2, -1, AT(0), AT(1))                                                                              \
    EACH(snnc_pool_sum, 2, -1, AT(0), AT(1))                                                                           \
    EACH(snnc_pool_max, 2, -1, AT(0), AT(1))                                                                           \
    EACH(snnc_unpool, 2, -1, AT(0), AT(1))                                                                             \
    EACH(snnc_mean, 3, -1, AT(0), AT(1), words[2])                                                                     \
    EACH(snnc_comoment, 3, -1, AT(0), AT(1), words[2])                                                                 \
    EACH(snnc_move, 3, -1, AT(0), words[1], words[2])

#define AT(NUMBER) ((void *)(uintptr_t)words[NUMBER])

#define NUMBER(NAME, ...) NAME##_number,
enum { KERNELS(NUMBER) };

/* What stands among calls and is none: to wait until a counter has come to a value, and what Python does. */
enum { WAIT = 100, OTHER };

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif

/* Looks at another thread's counter before a thread lets others have its processor: some microseconds. */
#define SPINS 200

/* A call of a kernel, to be made again; a contraction adds its products to one of some sums. */
struct call {
    int64_t kernel, words[MOST], sum;
};

/* Where the thread notes its calls, as `struct call`, and a list of what they point to; NULL: nowhere. */
static _Thread_local PyObject *noted, *kept;

/* Bytes as where they lie, integers as they are; 0 where there are others, or not *count* of them. */
static int taken(int64_t *words, PyObject *const *given, Py_ssize_t found, Py_ssize_t count)
{
    if (found != count) {
        PyErr_Format(PyExc_TypeError, "%zd arguments, but %zd are taken", found, count);
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        words[i] = PyBytes_Check(given[i]) ? (int64_t)(uintptr_t)PyBytes_AS_STRING(given[i]) : PyLong_AsLongLong(given[i]);
    return !PyErr_Occurred();
}

/* Whether a kernel that answered this served. */
static int served(int64_t kernel, int64_t answer) { return kernel == snnc_contract_number ? answer >= 0 : !answer; }

/* Notes a call; 0 where there is no room for that. */
static int note(int64_t kernel, const int64_t *words, PyObject *const *given, Py_ssize_t count)
{
    struct call call = {.kernel = kernel};
    const Py_ssize_t size = PyByteArray_GET_SIZE(noted);
    memcpy(call.words, words, (size_t)count * sizeof *words);
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyBytes_Check(given[i]) && PyList_Append(kept, given[i]) < 0)
            return 0;
    if (PyByteArray_Resize(noted, size + (Py_ssize_t)sizeof call) < 0)
        return 0;
    memcpy(PyByteArray_AS_STRING(noted) + size, &call, sizeof call);
    return 1;
}

/* Calls a kernel with so many arguments, and without the lock of the interpreter. */
#define CALLED(NAME, COUNT, ROOM, ...)                                                                                 \
    static PyObject *NAME##_called(PyObject *self, PyObject *const *given, Py_ssize_t found)                           \
    {                                                                                                                  \
        int64_t words[MOST], answer;                                                                                   \
        (void)self;                                                                                                    \
        if (!taken(words, given, found, COUNT))                                                                        \
            return NULL;                                                                                               \
        void *const room = ROOM < 0 ? NULL : AT(ROOM < 0 ? 0 : ROOM);                                                  \
        (void)room;                                                                                                    \
        Py_BEGIN_ALLOW_THREADS answer = NAME(__VA_ARGS__);                                                             \
        Py_END_ALLOW_THREADS if (noted && served(NAME##_number, answer) && !note(NAME##_number, words, given, COUNT))  \
            return NULL;                                                                                               \
        return PyLong_FromLongLong(answer);                                                                            \
    }

KERNELS(CALLED)

/* Whether a counter of another thread has come to *value*; not where all are to stop before that. */
static int reached(const int64_t *counter, int64_t value, const int64_t *stop)
{
    for (int64_t turn = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) < value; turn++) {
        if (__atomic_load_n(stop, __ATOMIC_RELAXED))
            return 0;
        if (turn < SPINS)
            PAUSE();
        else
            sched_yield();
    }
    return 1;
}

/* Calls from first to before last again; the first that was not served, or last.  *counter* says how many are done. */
static int64_t run(const struct call *calls, int64_t first, int64_t last, int64_t *sums, void *room, int64_t *counter)
{
    for (int64_t i = first;; i++) {
        __atomic_store_n(counter, i, __ATOMIC_RELEASE);
        if (i >= last)
            return last;
        const int64_t *words = calls[i].words, kernel = calls[i].kernel;
        int64_t answer = -1;
        switch (kernel) {
#define AGAIN(NAME, COUNT, ROOM, ...)                                                                                  \
    case NAME##_number:                                                                                                \
        answer = NAME(__VA_ARGS__);                                                                                    \
        break;
            KERNELS(AGAIN)
        case WAIT:
            if (reached(AT(0), words[1], AT(2)))
                continue;
            return i;
        default: /* OTHER */
            return i;
        }
        if (!served(kernel, answer))
            return i;
        if (kernel == snnc_contract_number)
            sums[calls[i].sum] += answer * snnc_contract_columns(AT(0));
    }
}

static PyObject *run_called(PyObject *self, PyObject *const *given, Py_ssize_t found)
{
    int64_t words[MOST], answer;
    (void)self;
    if (!taken(words, given, found, 6))
        return NULL;
    Py_BEGIN_ALLOW_THREADS answer = run(AT(0), words[1], words[2], AT(3), AT(4), AT(5));
    Py_END_ALLOW_THREADS return PyLong_FromLongLong(answer);
}

/* Notes what the thread calls from now on in a bytearray and a list; two None: nowhere. */
static PyObject *note_called(PyObject *self, PyObject *const *given, Py_ssize_t found)
{
    (void)self;
    const int none = found == 2 && given[0] == Py_None && given[1] == Py_None;
    if (!none && !(found == 2 && PyByteArray_Check(given[0]) && PyList_Check(given[1]))) {
        PyErr_SetString(PyExc_TypeError, "calls are noted in a bytearray and a list");
        return NULL;
    }
    Py_CLEAR(noted);
    Py_CLEAR(kept);
    if (!none) {
        noted = Py_NewRef(given[0]);
        kept = Py_NewRef(given[1]);
    }
    Py_RETURN_NONE;
}

#define METHOD(NAME, ...) {#NAME, (PyCFunction)(void (*)(void))NAME##_called, METH_FASTCALL, NULL},

static PyMethodDef methods[] = {
    KERNELS(METHOD) {"snnc_note", (PyCFunction)(void (*)(void))note_called, METH_FASTCALL, NULL},
    {"snnc_run", (PyCFunction)(void (*)(void))run_called, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_compiled", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__compiled(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && (PyModule_AddIntMacro(module, WAIT) < 0 || PyModule_AddIntMacro(module, OTHER) < 0))
        Py_CLEAR(module);
    return module;
}

#endif
