/* Stands in for libcuda.so.1: the calls of engines.cuda on plain memory, with handles that are checked and counted.

   Nothing runs, so nothing of a GPU is proved; what is proved is that the binding is called with what it takes, that
   every status is looked at and everything is given back. An event is not ready the first time it is asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_VALUE = 1, NO_DEVICE = 100, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600 };
enum { STREAM = 1, EVENT, GRAPH, EXEC, BUFFER, CONTEXT };
typedef struct { int kind, live, asked, recorded, capturing; void *memory; unsigned flags; } Thing;

static Thing things[4096];
static int made, depth, devices = 1;
static char failing[64];
static int fail_with = 999;

static int fails(const char *call) { return strcmp(call, failing) == 0; }
static void *new_thing(int kind) {
  things[++made].kind = kind;
  things[made].live = 1;
  return (void *)(uintptr_t)(0x10000 + made * 16);
}
static Thing *thing(void *handle, int kind) {
  uintptr_t n = ((uintptr_t)handle - 0x10000) / 16;
  if ((uintptr_t)handle < 0x10000 || n == 0 || n > (uintptr_t)made) return 0;
  return things[n].kind == kind && things[n].live ? &things[n] : 0;
}
static int end(void *handle, int kind) {
  Thing *t = thing(handle, kind);
  if (!t || depth != 1) return INVALID_HANDLE;
  t->live = 0;
  return OK;
}
#define START(call) if (fails(#call)) return fail_with; if (depth != 1) return 201 /* invalid context */

int stand_in_live(int kind) { int n = 0; for (int i = 1; i <= made; i++) n += things[i].live && things[i].kind == kind; return n; }
int stand_in_depth(void) { return depth; }
void stand_in_fail(const char *call, int status) { strncpy(failing, call, sizeof failing - 1); fail_with = status; }
void stand_in_devices(int count) { devices = count; }
unsigned stand_in_flags(int kind) { return made && things[made].kind == kind ? things[made].flags : 0; }

int cuInit(unsigned flags) { if (fails("cuInit")) return fail_with; return flags ? INVALID_VALUE : devices ? OK : NO_DEVICE; }
int cuDriverGetVersion(int *version) { *version = 13040; return OK; }
int cuDeviceGetCount(int *count) { *count = devices; return OK; }
int cuDeviceGetName(char *name, int size, int device) {
  if (fails("cuDeviceGetName")) return fail_with;
  if (device >= devices) return 101;
  strncpy(name, "Orin (stands in)", size);
  return OK;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  if (device >= devices || (attribute != 75 && attribute != 76)) return INVALID_VALUE;
  *value = attribute == 75 ? 8 : 7; /* compute capability */
  return OK;
}
static const struct { int status; const char *name, *text; } words[] = {
  {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
  {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
  {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
  {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
  {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
  {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
  {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};
int cuGetErrorName(int status, const char **name) {
  *name = 0;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) if (words[i].status == status) *name = words[i].name;
  return *name ? OK : INVALID_VALUE;
}
int cuGetErrorString(int status, const char **text) {
  *text = 0;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) if (words[i].status == status) *text = words[i].text;
  return *text ? OK : INVALID_VALUE;
}
int cuDeviceGet(int *device, int ordinal) { if (ordinal >= devices) return 101; *device = ordinal; return OK; }
int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = new_thing(CONTEXT); return OK; }
int cuDevicePrimaryCtxRelease_v2(int device) {
  (void)device;
  for (int i = 1; i <= made; i++) if (things[i].kind == CONTEXT && things[i].live) { things[i].live = 0; return OK; }
  return INVALID_VALUE;
}
int cuCtxPushCurrent_v2(void *context) { if (!thing(context, CONTEXT)) return INVALID_HANDLE; depth++; return OK; }
int cuCtxPopCurrent_v2(void **context) { if (!depth) return 201; depth--; *context = 0; return OK; }
int cuMemHostAlloc(void **host, size_t size, unsigned flags) {
  START(cuMemHostAlloc);
  Thing *t = &things[made + 1];
  new_thing(BUFFER);
  *host = t->memory = calloc(size, 1);
  t->flags = flags;
  return OK;
}
static Thing *buffer(void *host) {
  for (int i = 1; i <= made; i++) if (things[i].kind == BUFFER && things[i].live && things[i].memory == host) return &things[i];
  return 0;
}
int cuMemHostGetDevicePointer_v2(uint64_t *device, void *host, unsigned flags) {
  START(cuMemHostGetDevicePointer);
  Thing *t = buffer(host);
  if (!t || flags || !(t->flags & 2)) return INVALID_VALUE; /* not mapped */
  *device = (uint64_t)(uintptr_t)host;
  return OK;
}
int cuMemFreeHost(void *host) {
  START(cuMemFreeHost);
  Thing *t = buffer(host);
  if (!t) return INVALID_VALUE;
  t->live = 0;
  free(host);
  return OK;
}
int cuStreamCreate(void **stream, unsigned flags) { START(cuStreamCreate); *stream = new_thing(STREAM); things[made].flags = flags; return OK; }
int cuStreamSynchronize(void *stream) { START(cuStreamSynchronize); return thing(stream, STREAM) ? OK : INVALID_HANDLE; }
int cuStreamDestroy_v2(void *stream) { START(cuStreamDestroy); return end(stream, STREAM); }
int cuEventCreate(void **event, unsigned flags) { START(cuEventCreate); *event = new_thing(EVENT); things[made].flags = flags; return OK; }
int cuEventRecord(void *event, void *stream) {
  START(cuEventRecord);
  Thing *t = thing(event, EVENT);
  if (!t || !thing(stream, STREAM)) return INVALID_HANDLE;
  t->recorded = 1;
  t->asked = 0;
  return OK;
}
int cuEventQuery(void *event) {
  START(cuEventQuery);
  Thing *t = thing(event, EVENT);
  if (!t || !t->recorded) return INVALID_HANDLE;
  return t->asked++ ? OK : NOT_READY;
}
int cuEventDestroy_v2(void *event) { START(cuEventDestroy); return end(event, EVENT); }
int cuStreamBeginCapture_v2(void *stream, int mode) {
  START(cuStreamBeginCapture);
  Thing *t = thing(stream, STREAM);
  if (!t || t->capturing) return INVALID_HANDLE;
  if (mode != 1) return INVALID_VALUE; /* another thread's calls must not spoil it */
  t->capturing = 1;
  return OK;
}
int cuStreamEndCapture(void *stream, void **graph) {
  START(cuStreamEndCapture);
  Thing *t = thing(stream, STREAM);
  if (!t || !t->capturing) return INVALID_HANDLE;
  t->capturing = 0;
  *graph = new_thing(GRAPH);
  return OK;
}
int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) {
  START(cuGraphInstantiate);
  if (!thing(graph, GRAPH) || flags) return INVALID_VALUE;
  *exec = new_thing(EXEC);
  return OK;
}
int cuGraphLaunch(void *exec, void *stream) { START(cuGraphLaunch); return thing(exec, EXEC) && thing(stream, STREAM) ? OK : INVALID_HANDLE; }
int cuGraphExecDestroy(void *exec) { START(cuGraphExecDestroy); return end(exec, EXEC); }
int cuGraphDestroy(void *graph) { START(cuGraphDestroy); return end(graph, GRAPH); }

static const struct { const char *name; void *call; } table[] = {
  {"cuInit", cuInit}, {"cuDriverGetVersion", cuDriverGetVersion}, {"cuDeviceGet", cuDeviceGet},
  {"cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain}, {"cuDevicePrimaryCtxRelease", cuDevicePrimaryCtxRelease_v2},
  {"cuCtxPushCurrent", cuCtxPushCurrent_v2}, {"cuCtxPopCurrent", cuCtxPopCurrent_v2},
  {"cuMemHostAlloc", cuMemHostAlloc}, {"cuMemHostGetDevicePointer", cuMemHostGetDevicePointer_v2},
  {"cuMemFreeHost", cuMemFreeHost}, {"cuStreamCreate", cuStreamCreate},
  {"cuStreamSynchronize", cuStreamSynchronize}, {"cuStreamDestroy", cuStreamDestroy_v2},
  {"cuEventCreate", cuEventCreate}, {"cuEventRecord", cuEventRecord}, {"cuEventQuery", cuEventQuery},
  {"cuEventDestroy", cuEventDestroy_v2}, {"cuStreamBeginCapture", cuStreamBeginCapture_v2},
  {"cuStreamEndCapture", cuStreamEndCapture}, {"cuGraphInstantiateWithFlags", cuGraphInstantiateWithFlags},
  {"cuGraphLaunch", cuGraphLaunch}, {"cuGraphExecDestroy", cuGraphExecDestroy}, {"cuGraphDestroy", cuGraphDestroy},
};
int cuGetProcAddress_v2(const char *name, void **call, int version, uint64_t flags, int *status) {
  (void)version; (void)flags;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (!strcmp(name, table[i].name)) { *call = table[i].call; if (status) *status = 0; return OK; }
  *call = 0;
  if (status) *status = 1;
  return NOT_FOUND;
}
