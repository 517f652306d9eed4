// libFuzzer harness: an embedded interpreter calls run() of the driver named by CLEARHOLD_DRIVER,
// the very function that a proof runs under, with ujson linked in and instrumented.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" PyObject *PyInit_ujson(void);

static PyObject *driver_run = nullptr;

static void stop(const char *what) {
  if (PyErr_Occurred()) PyErr_Print();
  std::fprintf(stderr, "harness: %s\n", what);
  std::_Exit(3);
}

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
  const char *driver = std::getenv("CLEARHOLD_DRIVER");
  if (!driver) stop("CLEARHOLD_DRIVER names no driver");
  if (PyImport_AppendInittab("ujson", PyInit_ujson) != 0) stop("ujson cannot be registered");
  Py_InitializeEx(0);
  PyObject *module = PyImport_ImportModule(driver);
  if (!module) stop("the driver cannot be imported");
  driver_run = PyObject_GetAttrString(module, "run");
  if (!driver_run) stop("the driver has no run()");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  PyObject *result = PyObject_CallFunction(driver_run, "y#", reinterpret_cast<const char *>(data),
                                           static_cast<Py_ssize_t>(size));
  if (!result) PyErr_Clear();
  Py_XDECREF(result);
  return 0;
}
