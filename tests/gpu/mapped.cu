/* Kernels that show what passes between host and GPU through mapped memory, and when. Never run on a
   GPU yet. */

extern "C" __global__ void invert(const unsigned char *picture, unsigned char *answer, int size) {
  const int at = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (at < size) answer[at] = 255 - picture[at];
}

/* Keeps its stream busy until the host opens the gate; gives up after so many looks. */
extern "C" __global__ void hold(const volatile unsigned char *gate, int looks) {
  while (!*gate && looks-- > 0) {
  }
}

/* A fault: nothing lies at this address. */
extern "C" __global__ void read_nowhere(const volatile unsigned char *nowhere, unsigned char *answer) {
  *answer = *nowhere;
}
