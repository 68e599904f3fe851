/* A CUDA runtime whose one card has memory and nothing else. Preloaded, it lets torch's own caching
   allocator run on a machine without a card, as long as nobody uses the addresses. CARD_BYTES of the
   environment is the memory, and may change. */
#include <stdlib.h>
#include <string.h>

enum { OK = 0, OUT_OF_MEMORY = 2, SEGMENTS = 1 << 16, PROPERTIES = 1008 };

static size_t used, count, next = 1ull << 40, starts[SEGMENTS], sizes[SEGMENTS];

static size_t capacity(void) { return strtoull(getenv("CARD_BYTES"), NULL, 10); }

int cudaMalloc(void **address, size_t size) {
    if (used + size > capacity() || count == SEGMENTS) return OUT_OF_MEMORY;
    *address = (void *)next;
    starts[count] = next;
    sizes[count++] = size;
    next += size;
    used += size;
    return OK;
}

int cudaFree(void *address) {
    for (size_t i = 0; i < count; i++)
        if (starts[i] == (size_t)address) {
            used -= sizes[i];
            starts[i] = starts[--count];
            sizes[i] = sizes[count];
        }
    return OK;
}

int cudaMemGetInfo(size_t *unused, size_t *total) {
    *total = capacity();
    return *unused = *total - used, OK;
}

int cudaGetDeviceProperties(void *properties, int device) {
    return memset(properties, 0, PROPERTIES), OK;
}

int cudaGetDriverEntryPointByVersion(
    const char *name, void **entry, unsigned version, unsigned long long flags, int *found) {
    extern int cudaGetLastError();
    *entry = (void *)cudaGetLastError;
    return *found = 0, OK;
}

const char *cudaGetErrorString(int error) { return error == OUT_OF_MEMORY ? "memory" : "other"; }

#define ANSWERS(name, value) int name(int *answer) { return *answer = value, OK; }
ANSWERS(cudaGetDeviceCount, 1)
ANSWERS(cudaGetDevice, 0)
ANSWERS(cudaDriverGetVersion, 13000)

int cudaStreamIsCapturing(void *stream, int *answer) { return *answer = 0, OK; }
int cudaDeviceGetStreamPriorityRange(int *least, int *most) { return *least = *most = 0, OK; }

#define WORKS(name) int name() { return OK; }
WORKS(cudaSetDevice)
WORKS(cudaGetLastError)
WORKS(cudaDeviceSynchronize)
WORKS(cudaThreadExchangeStreamCaptureMode)
WORKS(cuDevicePrimaryCtxGetState)
