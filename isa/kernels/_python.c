/* Kernels as functions of Python's own, which take a tenth of the time that ctypes takes to call them.  Where the headers of
   Python are not there, nothing is here, and ctypes serves. */

#if __has_include(<Python.h>)

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_vector.h"

struct plan;
struct box;

int64_t snnc_contract(const struct plan *plan, const void *left, int64_t bit, const void *right, void *out, int32_t fresh, void *space);
int64_t snnc_element(const struct element *plan, const int64_t *at, const uint32_t *arguments, char *room);
int64_t snnc_drain(const struct drain *plan, const int64_t *at);
int64_t snnc_pool_sum(const struct window *plan, const int64_t *at);
int64_t snnc_pool_max(const struct window *plan, const int64_t *at);
int64_t snnc_unpool(const struct window *plan, const int64_t *at);
int64_t snnc_mean(const struct moments *plan, const int64_t *at, int64_t count);
int64_t snnc_comoment(const struct moments *plan, const int64_t *at, int64_t count);
int64_t snnc_move(const struct box *box, int64_t address, int64_t start);

#define MOST 7

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

#define AT(NUMBER) ((void *)(uintptr_t)words[NUMBER])

/* Calls a kernel with so many arguments, and without the lock of the interpreter. */
#define CALLED(NAME, COUNT, ...)                                                                                       \
    static PyObject *NAME##_called(PyObject *self, PyObject *const *given, Py_ssize_t found)                           \
    {                                                                                                                  \
        int64_t words[MOST], answer;                                                                                   \
        (void)self;                                                                                                    \
        if (!taken(words, given, found, COUNT))                                                                        \
            return NULL;                                                                                               \
        Py_BEGIN_ALLOW_THREADS answer = NAME(__VA_ARGS__);                                                             \
        Py_END_ALLOW_THREADS return PyLong_FromLongLong(answer);                                                       \
    }

CALLED(snnc_contract, 7, AT(0), AT(1), words[2], AT(3), AT(4), (int32_t)words[5], AT(6))
CALLED(snnc_element, 4, AT(0), AT(1), AT(2), AT(3))
CALLED(snnc_drain, 2, AT(0), AT(1))
CALLED(snnc_pool_sum, 2, AT(0), AT(1))
CALLED(snnc_pool_max, 2, AT(0), AT(1))
CALLED(snnc_unpool, 2, AT(0), AT(1))
CALLED(snnc_mean, 3, AT(0), AT(1), words[2])
CALLED(snnc_comoment, 3, AT(0), AT(1), words[2])
CALLED(snnc_move, 3, AT(0), words[1], words[2])

#define METHOD(NAME) {#NAME, (PyCFunction)(void (*)(void))NAME##_called, METH_FASTCALL, NULL}

static PyMethodDef methods[] = {
    METHOD(snnc_contract), METHOD(snnc_element),  METHOD(snnc_drain), METHOD(snnc_pool_sum), METHOD(snnc_pool_max),
    METHOD(snnc_unpool),   METHOD(snnc_mean),     METHOD(snnc_comoment), METHOD(snnc_move), {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_compiled", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModule_Create(&definition); }

#endif
