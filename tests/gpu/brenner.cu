/* Focus of one raw frame (Bayer RGGB, uint8), the same as `energy` of appliance.scan.focus.measure: for each block of
   32 x 32 px the mean squared difference of green samples two apart, along rows plus along columns.

   16 x 16 threads for each of them; a thread has the two greens of one 2 x 2 cell. A block's sum is of integers, at
   most 512 * 2 * 255^2 < 2^32, so that the order of adding does not matter. Never run on a
   GPU yet. */
#ifndef KERNEL
#define KERNEL extern "C" __global__ void
#endif

#define BLOCK 32 /* px */
#define REACH 2  /* px to the nearest sample of the same green */
#define SIDE (BLOCK + 2 * REACH)
#define THREADS ((BLOCK / 2) * (BLOCK / 2))
#define SAMPLES 512 /* green ones in a block */

/* frame: rows of so many bytes (pitch), of which as many are read as the grid has blocks. energy: one for each block,
   row by row. */
KERNEL brenner(const unsigned char *frame, int pitch, float *energy) {
  __shared__ unsigned char seen[SIDE][SIDE];
  __shared__ unsigned int total;
  const int width = (int)gridDim.x * BLOCK, height = (int)gridDim.y * BLOCK;
  const int left = (int)blockIdx.x * BLOCK - REACH, top = (int)blockIdx.y * BLOCK - REACH;
  const int thread = (int)(threadIdx.y * (BLOCK / 2) + threadIdx.x);

  if (thread == 0) total = 0;
  for (int at = thread; at < SIDE * SIDE; at += THREADS) {
    const int x = left + at % SIDE, y = top + at / SIDE;
    const int inside = x >= 0 && x < width && y >= 0 && y < height;
    seen[at / SIDE][at % SIDE] = inside ? frame[(long long)y * pitch + x] : 0;
  }
  __syncthreads();

  unsigned int mine = 0;
  for (int green = 0; green < 2; green++) { /* right of red, then below it */
    const int x = REACH + 2 * (int)threadIdx.x + 1 - green, y = REACH + 2 * (int)threadIdx.y + green;
    const int across = seen[y][x + REACH] - seen[y][x - REACH], down = seen[y + REACH][x] - seen[y - REACH][x];
    if (left + x >= REACH && left + x < width - REACH) mine += (unsigned int)(across * across);
    if (top + y >= REACH && top + y < height - REACH) mine += (unsigned int)(down * down);
  }
  atomicAdd(&total, mine);
  __syncthreads();
  if (thread == 0) energy[blockIdx.y * gridDim.x + blockIdx.x] = (float)total / SAMPLES;
}
