// The decode step of all layers on a CPU, called through ctypes by models/engine/native/backend.py.
//
// The same inputs give the same bits whatever other rows are run, in any slot, with any number of threads, and in
// every build of this file (AVX-512, AVX2, plain): each sum has one fixed order, below, and a product is fused with
// an addition exactly where fma() says so (-ffp-contract=off; no -ffast-math).
//
//   linear, float   y[n] = sum over inputs k = 0, 1, 2 ... by fma, from 0
//   linear, int8    exact integer sum, then (float(sum) * scale of the row) * scale of the output
//   score           sum over the head's width e = 0, 1, 2 ... by fma, from 0
//   mixed value     entries t = 0, 1, 2 ... by fma into four sums, t mod 4; then (0 + 1) + (2 + 3)
//   norm, softmax   sixteen sums, index mod 16; then folded in halves
//
// Layouts: weights [N/16][K][16] (int8: [N/16][K/4][16][4]), padded with zeros to 64 outputs; keys, for each slot
// and head, [C/16][E][16]; values [C][E]. N outputs, K inputs, C cache entries, E head width, R rows.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

// ROWS times outputs are summed at once, SUMS vectors in all: as many as the registers hold beside weights and inputs.
#if defined(__AVX512F__)
constexpr int LANES = 16, SUMS = 16, ROWS = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8, SUMS = 8, ROWS = 4;
#else
constexpr int LANES = 4, SUMS = 8, ROWS = 4;
#endif
constexpr int FLOAT_ROWS = ROWS < 8 ? ROWS : 8;   // as floats the inputs of more would not stay near
constexpr int BLOCK = 64;                         // outputs of a block, which one thread computes
constexpr int GROUP = 16, PARTS = GROUP / LANES;  // outputs, or entries, that lie side by side
constexpr int WIDE = 4;                           // vectors that are computed at once where there is but one row

constexpr int MANY = 8;      // rows: with so many, weights come in so few streams that they must be asked for ahead
constexpr int AHEAD = 8192;  // bytes, of all streams

// Loops over rows and vectors must vanish early, or GCC keeps the sums in memory.
#define UNROLLED _Pragma("GCC unroll 16")

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint16_t hvec __attribute__((vector_size(2 * LANES)));
typedef uint8_t bvec __attribute__((vector_size(LANES)));
typedef uint16_t bf16;  // the upper half of a float

inline vec splat(float f) { return vec{} + f; }
inline vec load(const float* p) { vec v; std::memcpy(&v, p, sizeof v); return v; }
inline vec load(const bf16* p) {
  hvec h;
  std::memcpy(&h, p, sizeof h);
  return (vec)(__builtin_convertvector(h, ivec) << 16);
}
inline void store(float* p, vec v) { std::memcpy(p, &v, sizeof v); }
inline void put(float* p, float f) { *p = f; }
inline void put(bf16* p, float f) {  // to nearest, ties to even
  uint32_t u;
  std::memcpy(&u, &f, 4);
  *p = bf16((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

inline vec fma(vec a, vec b, vec c) {
#if defined(__AVX512F__)
  return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  for (int i = 0; i < LANES; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#endif
}

// e^x to about 2 units in the last place (Cephes), x clamped to [-87, 88].
inline vec exponential(vec x) {
  x = x < splat(-87.f) ? splat(-87.f) : x;
  x = x > splat(88.f) ? splat(88.f) : x;
  const vec n = (x * 1.44269504f + 12582912.f) - 12582912.f;  // rounded
  const vec r = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), x));
  vec p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + 1.f;
  return p * (vec)((__builtin_convertvector(n, ivec) + 127) << 23);
}

// x * Phi(x), with the error function to 1.5e-7 (Abramowitz and Stegun 7.1.26).
inline vec gelu(vec x) {
  const vec z = x * 0.70710678f, a = z < splat(0.f) ? -z : z;
  const vec t = 1.f / fma(a, splat(0.3275911f), splat(1.f));
  vec p = splat(1.061405429f);
  p = fma(p, t, splat(-1.453152027f));
  p = fma(p, t, splat(1.421413741f));
  p = fma(p, t, splat(-0.284496736f));
  p = fma(p, t, splat(0.254829592f));
  const vec tail = p * t * exponential(-(z * z));  // 1 - erf(|z|)
  return x * 0.5f * (z < splat(0.f) ? tail : 2.f - tail);
}

// Lane i has what lane i xor `by` had.
inline vec exchanged(vec v, int by) {
  ivec from;
  for (int i = 0; i < LANES; ++i) from[i] = i ^ by;
  return __builtin_shuffle(v, from);
}

inline vec larger(vec a, vec b) { return a > b ? a : b; }

inline float maximum(vec v) {
  for (int half = LANES / 2; half; half /= 2) v = larger(v, exchanged(v, half));
  return v[0];
}

// Sixteen sums by index mod 16, and their fold.
struct Sums {
  vec part[PARTS] = {};
  void add(int i, vec v) { part[i] += v; }
  void add_square(int i, vec v) { part[i] = fma(v, v, part[i]); }
  float fold() const {
    vec folded[PARTS];
    std::memcpy(folded, part, sizeof folded);
    for (int half = PARTS / 2; half; half /= 2)
      for (int i = 0; i < half; ++i) folded[i] += folded[i + half];
    vec sum = folded[0];
    for (int half = LANES / 2; half; half /= 2) sum += exchanged(sum, half);
    return sum[0];
  }
};

}  // namespace

extern "C" {

enum Kind : int64_t { FLOAT32 = 0, BFLOAT16 = 1, INT8 = 2 };

struct Linear {
  const void* weights;
  const float* scales;   // of each output, INT8 only
  const int32_t* sums;   // of each output's weights, INT8 only
  int64_t outputs, inputs, kind;  // both multiples of 16
};

struct Norm {
  const float *weight, *bias;
};

struct Layer {
  Norm attention_norm, cross_norm, feed_forward_norm;
  Linear qkv, attention_out, query, cross_out, up, down;
};

struct Cache {
  void *keys, *values;
  int64_t length;  // entries of a row, a multiple of 64
};

struct Model {
  int64_t layers, width, heads, feed_forward, slots, rotary, cross, half_cache;
  const Layer* layer;
  Norm norm;
  Linear head;
  Cache cache, memory;
  const int64_t* memory_lengths;  // of each slot
  const float* rotary_table;      // [positions][cos, sin][E/2]
};

struct Feed {
  int64_t slot, position, entry, filled;
};

struct Scratch {  // for R rows
  float *normed, *projected, *mixed, *widened;  // [R][D], [R][3D], [R][D], [R][F]
  void* gathered;                               // inputs of a linear, K of them: [K][R], INT8: bytes [K/4][R][4]
};

}  // extern "C"

namespace {

enum Then { STORE, ADD, GELU };

// The functions below are called by every thread of a team; each ends when all of the team have finished.

struct RowScale {
  float scale, inverse;
};

// How every row is scaled as bytes. Each thread finds it for itself, which takes less than waiting for another.
const RowScale* scales_of(const float* x, int64_t rows, int64_t width) {
  thread_local std::vector<RowScale> scales;
  scales.resize(rows);
  for (int64_t r = 0; r < rows; ++r) {
    vec largest = splat(1e-8f);
    for (int64_t k = 0; k < width; k += LANES) {
      const vec v = load(x + r * width + k);
      largest = larger(v < splat(0.f) ? -v : v, largest);
    }
    const float most = maximum(largest);
    scales[r] = {most / 127.f, 127.f / most};
  }
  return scales.data();
}

// Rows as unsigned bytes, 128 for zero, four inputs of every row side by side.
void gather_bytes(const float* x, int64_t rows, int64_t width, const RowScale* scales, uint8_t* gathered) {
#pragma omp for schedule(static)
  for (int64_t k = 0; k < width; k += GROUP)
    for (int64_t r = 0; r < rows; ++r) {
      const float inverse = scales[r].inverse;
      for (int64_t i = k; i < k + GROUP; i += LANES) {
        const vec rounded = (load(x + r * width + i) * inverse + 12582912.f) - 12582912.f;
        const bvec bytes = __builtin_convertvector(__builtin_convertvector(rounded, ivec) + 128, bvec);
        for (int j = 0; j < LANES; j += 4) std::memcpy(gathered + (i + j) * rows + 4 * r, (const char*)&bytes + j, 4);
      }
    }
}

// The same input of every row side by side.
void gather(const float* x, int64_t rows, int64_t width, float* gathered) {
#pragma omp for schedule(static)
  for (int64_t k = 0; k < width; k += GROUP)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = k; i < k + GROUP; ++i) gathered[i * rows + r] = x[r * width + i];
}

// Sums of products for M of the rows x and V vectors of outputs from `output` on.
template <class W, int M, int V>
inline void dot_float(const float* x, int64_t rows, const W* w, int64_t inputs, int64_t output, vec (&sum)[M][V]) {
  const W* from[V];
  for (int v = 0; v < V; ++v) {
    const int64_t n = output + v * LANES;
    from[v] = w + n / GROUP * GROUP * inputs + n % GROUP;
  }
  vec acc[M][V] = {};
  for (int64_t k = 0; k < inputs; ++k, x += rows) {
    vec weight[V];
    UNROLLED for (int v = 0; v < V; ++v) {
      weight[v] = load(from[v] + k * GROUP);
      if (M >= MANY) __builtin_prefetch((const char*)(from[v] + k * GROUP) + AHEAD / V);
    }
    UNROLLED for (int m = 0; m < M; ++m) {
      const vec input = splat(x[m]);
      UNROLLED for (int v = 0; v < V; ++v) acc[m][v] = fma(input, weight[v], acc[m][v]);
    }
  }
  std::memcpy(sum, acc, sizeof sum);
}

inline int32_t four(const uint8_t* x) { int32_t i; std::memcpy(&i, x, 4); return i; }

#if defined(__AVX512VNNI__)
// acc += four products a lane. In assembler, since GCC 12 copies every sum in every round of the intrinsic.
inline void add_products(__m512i& acc, __m512i x, __m512i w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
}
#endif

// Exact sums of products of unsigned bytes x and signed bytes w.
template <int M, int V>
inline void dot_int8(const uint8_t* x, int64_t rows, const int8_t* w, int64_t inputs, int64_t output,
                     ivec (&sum)[M][V]) {
  const int8_t* from[V];
  for (int v = 0; v < V; ++v) {
    const int64_t n = output + v * LANES;
    from[v] = w + n / GROUP * GROUP * inputs + n % GROUP * 4;
  }
#if defined(__AVX512VNNI__)
  __m512i acc[M][V] = {};
  for (int64_t k = 0; k < inputs; k += 4, x += 4 * rows) {
    __m512i weight[V];
    UNROLLED for (int v = 0; v < V; ++v) {
      weight[v] = _mm512_loadu_si512(from[v] + k * GROUP);
      if (M >= MANY) __builtin_prefetch(from[v] + k * GROUP + AHEAD / V);
    }
    UNROLLED for (int m = 0; m < M; ++m) {
      const __m512i input = _mm512_set1_epi32(four(x + 4 * m));
      UNROLLED for (int v = 0; v < V; ++v) add_products(acc[m][v], input, weight[v]);
    }
  }
  std::memcpy(sum, acc, sizeof sum);
#elif defined(__AVX2__)
  // 16-bit products, added in pairs: an output's four products of a k make two sums, added at the end
  for (int v = 0; v < V; ++v) {
    __m256i low[M] = {}, high[M] = {};
    for (int64_t k = 0; k < inputs; k += 4) {
      const __m256i weight = _mm256_loadu_si256((const __m256i*)(from[v] + k * GROUP));
      const __m256i first = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(weight));
      const __m256i second = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(weight, 1));
      UNROLLED for (int m = 0; m < M; ++m) {
        const __m256i input = _mm256_cvtepu8_epi16(_mm_set1_epi32(four(x + k * rows + 4 * m)));
        low[m] = _mm256_add_epi32(low[m], _mm256_madd_epi16(input, first));
        high[m] = _mm256_add_epi32(high[m], _mm256_madd_epi16(input, second));
      }
    }
    for (int m = 0; m < M; ++m)
      sum[m][v] = (ivec)_mm256_permute4x64_epi64(_mm256_hadd_epi32(low[m], high[m]), 0xd8);
  }
#else
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) {
      ivec acc = {};
      for (int64_t k = 0; k < inputs; k += 4)
        for (int lane = 0; lane < LANES; ++lane)
          for (int j = 0; j < 4; ++j) acc[lane] += x[k * rows + 4 * m + j] * from[v][k * GROUP + lane * 4 + j];
      sum[m][v] = acc;
    }
#endif
}

// What every thread knows of a linear layer while it computes its blocks: y = x W^T, or y += x W^T, or gelu of it.
struct Product {
  const Linear& linear;
  const void* gathered;
  const RowScale* scales;  // INT8 only
  int64_t rows;
  float* y;
  Then then;
};

// M rows of V vectors of outputs.
template <int M, int V>
inline void linear_tile(const Product& product, int64_t row, int64_t output) {
  const Linear& linear = product.linear;
  const int64_t inputs = linear.inputs, rows = product.rows;
  vec sum[M][V];
  if (linear.kind == FLOAT32) {
    dot_float((const float*)product.gathered + row, rows, (const float*)linear.weights, inputs, output, sum);
  } else if (linear.kind == BFLOAT16) {
    dot_float((const float*)product.gathered + row, rows, (const bf16*)linear.weights, inputs, output, sum);
  } else {
    ivec exact[M][V];
    dot_int8((const uint8_t*)product.gathered + 4 * row, rows, (const int8_t*)linear.weights, inputs, output, exact);
    for (int v = 0; v < V; ++v) {
      ivec offset;
      std::memcpy(&offset, linear.sums + output + v * LANES, sizeof offset);
      const vec scale = load(linear.scales + output + v * LANES);
      for (int m = 0; m < M; ++m) {
        const vec value = __builtin_convertvector(exact[m][v] - 128 * offset, vec);
        sum[m][v] = value * product.scales[row + m].scale * scale;
      }
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V && output + v * LANES < linear.outputs; ++v) {
      float* to = product.y + (row + m) * linear.outputs + output + v * LANES;
      vec value = sum[m][v];
      if (product.then == GELU) value = gelu(value);
      if (product.then == ADD) value += load(to);
      store(to, value);
    }
}

// A block of outputs, of M rows at a time, and of what is left over at half as many.
template <int M>
void linear_block(const Product& product, int64_t row, int64_t output) {
  constexpr int V = std::min(WIDE, SUMS / M);
  for (; row + M <= product.rows; row += M)
    for (int64_t n = output; n < output + BLOCK; n += V * LANES) linear_tile<M, V>(product, row, n);
  if constexpr (M > 1) linear_block<M / 2>(product, row, output);
}

void linear(const Linear& linear, const float* x, const Scratch& scratch, int64_t rows, float* y, Then then) {
  const RowScale* scales = nullptr;
  if (linear.kind == INT8) {
    scales = scales_of(x, rows, linear.inputs);
    gather_bytes(x, rows, linear.inputs, scales, (uint8_t*)scratch.gathered);
  } else {
    gather(x, rows, linear.inputs, (float*)scratch.gathered);
  }
  const Product product = {linear, scratch.gathered, scales, rows, y, then};
#pragma omp for schedule(static)
  for (int64_t output = 0; output < linear.outputs; output += BLOCK)
    if (linear.kind == INT8)
      linear_block<ROWS>(product, 0, output);
    else
      linear_block<FLOAT_ROWS>(product, 0, output);
}

void layer_norm(const Norm& norm, const float* x, int64_t rows, int64_t width, float* y) {
#pragma omp for schedule(static)
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * width;
    Sums sums, squares;
    for (int64_t k = 0; k < width; k += GROUP)
      for (int i = 0; i < PARTS; ++i) sums.add(i, load(row + k + i * LANES));
    const float mean = sums.fold() / float(width);
    for (int64_t k = 0; k < width; k += GROUP)
      for (int i = 0; i < PARTS; ++i) squares.add_square(i, load(row + k + i * LANES) - mean);
    const float rate = 1.f / std::sqrt(squares.fold() / float(width) + 1e-5f);
    for (int64_t k = 0; k < width; k += LANES)
      store(y + r * width + k, fma((load(row + k) - mean) * rate, load(norm.weight + k), load(norm.bias + k)));
  }
}

// Turn queries and keys by the angle of their position.
void rotate(const Model& model, const Feed* feeds, int64_t rows, float* qkv) {
  const int64_t heads = model.heads, half = model.width / heads / 2;
#pragma omp for schedule(static)
  for (int64_t i = 0; i < rows * 2 * heads; ++i) {
    const int64_t r = i / (2 * heads);
    const float *cosine = model.rotary_table + feeds[r].position * 2 * half, *sine = cosine + half;
    float *first = qkv + r * 3 * model.width + i % (2 * heads) * 2 * half, *second = first + half;
    for (int64_t e = 0; e < half; ++e) {
      const float a = first[e], b = second[e];
      first[e] = a * cosine[e] - b * sine[e];
      second[e] = b * cosine[e] + a * sine[e];
    }
  }
}

// Write keys and values, rows of `stride` floats, to entries of one layer's cache.
template <class T>
void write(const Model& model, const Cache& cache, int64_t layer, const Feed* feeds, int64_t rows, const float* keys,
           const float* values, int64_t stride) {
  const int64_t heads = model.heads, e = model.width / heads;
#pragma omp for schedule(static)
  for (int64_t i = 0; i < rows * heads; ++i) {
    const int64_t r = i / heads, h = i % heads, entry = feeds[r].entry;
    const int64_t start = ((layer * model.slots + feeds[r].slot) * heads + h) * cache.length * e;
    T* key = (T*)cache.keys + start + entry / GROUP * GROUP * e + entry % GROUP;
    T* value = (T*)cache.values + start + entry * e;
    for (int64_t j = 0; j < e; ++j) {
      put(key + j * GROUP, keys[r * stride + h * e + j]);
      put(value + j, values[r * stride + h * e + j]);
    }
  }
}

// The scores of V vectors of entries.
template <class T, int V>
inline void score_strip(const float* query, const T* keys, int64_t t, int64_t e, float scale, float* scores) {
  vec score[V] = {};
  const T* from[V];
  for (int v = 0; v < V; ++v) from[v] = keys + (t + v * LANES) / GROUP * GROUP * e + (t + v * LANES) % GROUP;
  for (int64_t j = 0; j < e; ++j) {
    const vec q = splat(query[j]);
    for (int v = 0; v < V; ++v) score[v] = fma(q, load(from[v] + j * GROUP), score[v]);
  }
  for (int v = 0; v < V; ++v) store(scores + t + v * LANES, score[v] * scale);
}

// The probabilities of `filled` entries; those of the entries up to the next multiple of 16 are 0.
template <class T>
void attend(const float* query, const T* keys, int64_t filled, int64_t e, float* probabilities) {
  const float scale = 1.f / std::sqrt(float(e));
  const int64_t end = (filled + GROUP - 1) / GROUP * GROUP;
  int64_t done = 0;
  for (; done + WIDE * LANES <= end; done += WIDE * LANES)
    score_strip<T, WIDE>(query, keys, done, e, scale, probabilities);
  for (; done < end; done += GROUP) score_strip<T, PARTS>(query, keys, done, e, scale, probabilities);
  std::fill(probabilities + filled, probabilities + end, -1e30f);
  vec largest = splat(-1e30f);
  for (int64_t t = 0; t < end; t += LANES) largest = larger(load(probabilities + t), largest);
  const float most = maximum(largest);
  Sums sums;
  for (int64_t t = 0; t < end; t += GROUP)
    for (int i = 0; i < PARTS; ++i) {
      const vec s = load(probabilities + t + i * LANES);
      const vec p = s > splat(-1e29f) ? exponential(s - most) : splat(0.f);
      store(probabilities + t + i * LANES, p);
      sums.add(i, p);
    }
  const float total = sums.fold();
  for (int64_t t = 0; t < end; t += LANES) store(probabilities + t, load(probabilities + t) / total);
}

// WIDTH vectors of the values' mean, weighted by the probabilities.
template <class T, int WIDTH>
inline void mix_strip(const float* probabilities, const T* values, int64_t filled, int64_t e, float* mixed) {
  vec sum[4][WIDTH] = {};
  int64_t t = 0;
  for (; t + 4 <= filled; t += 4)
    for (int c = 0; c < 4; ++c)
      for (int v = 0; v < WIDTH; ++v)
        sum[c][v] = fma(splat(probabilities[t + c]), load(values + (t + c) * e + v * LANES), sum[c][v]);
  for (int c = 0; t + c < filled; ++c)
    for (int v = 0; v < WIDTH; ++v)
      sum[c][v] = fma(splat(probabilities[t + c]), load(values + (t + c) * e + v * LANES), sum[c][v]);
  for (int v = 0; v < WIDTH; ++v) store(mixed + v * LANES, (sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]));
}

inline void ask_for(const void* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char*)from + i);
}

// What each row's query, rows of `stride` floats, finds in one layer's cache of its slot.
template <class T>
void mix(const Model& model, const Cache& cache, int64_t layer, const Feed* feeds, const int64_t* lengths,
         int64_t rows, const float* queries, int64_t stride, float* mixed) {
  const int64_t heads = model.heads, e = model.width / heads;
  thread_local std::vector<float> probabilities;
  probabilities.resize(cache.length);
#pragma omp for schedule(static)
  for (int64_t i = 0; i < rows * heads; ++i) {
    const int64_t r = i / heads, h = i % heads, filled = lengths ? lengths[feeds[r].slot] : feeds[r].filled;
    const int64_t start = ((layer * model.slots + feeds[r].slot) * heads + h) * cache.length * e;
    const T *keys = (const T*)cache.keys + start, *values = (const T*)cache.values + start;
    if (h + 1 < heads) {  // what comes next, as much of it as the processor does not ask for itself
      const int64_t soon = std::min<int64_t>((filled + GROUP - 1) / GROUP, 2) * GROUP * e * sizeof(T);
      ask_for(keys + cache.length * e, soon);
      ask_for(values + cache.length * e, soon);
    }
    attend(queries + r * stride + h * e, keys, filled, e, probabilities.data());
    float* to = mixed + r * model.width + h * e;
    int64_t j = 0;
    for (; j + WIDE * LANES <= e; j += WIDE * LANES)
      mix_strip<T, WIDE>(probabilities.data(), values + j, filled, e, to + j);
    for (; j < e; j += GROUP) mix_strip<T, PARTS>(probabilities.data(), values + j, filled, e, to + j);
  }
}

template <class T>
void run(const Model& model, const Feed* feeds, int64_t rows, const Scratch& scratch, float* x, float* logits) {
  const int64_t d = model.width;
  float *normed = scratch.normed, *projected = scratch.projected, *mixed = scratch.mixed, *wide = scratch.widened;
  for (int64_t l = 0; l < model.layers; ++l) {
    const Layer& layer = model.layer[l];
    layer_norm(layer.attention_norm, x, rows, d, normed);
    linear(layer.qkv, normed, scratch, rows, projected, STORE);
    if (model.rotary) rotate(model, feeds, rows, projected);
    write<T>(model, model.cache, l, feeds, rows, projected + d, projected + 2 * d, 3 * d);
    mix<T>(model, model.cache, l, feeds, nullptr, rows, projected, 3 * d, mixed);
    linear(layer.attention_out, mixed, scratch, rows, x, ADD);
    if (model.cross) {
      layer_norm(layer.cross_norm, x, rows, d, normed);
      linear(layer.query, normed, scratch, rows, projected, STORE);
      mix<T>(model, model.memory, l, feeds, model.memory_lengths, rows, projected, d, mixed);
      linear(layer.cross_out, mixed, scratch, rows, x, ADD);
    }
    layer_norm(layer.feed_forward_norm, x, rows, d, normed);
    linear(layer.up, normed, scratch, rows, wide, GELU);
    linear(layer.down, wide, scratch, rows, x, ADD);
  }
  if (logits == nullptr) return;
  layer_norm(model.norm, x, rows, d, normed);
  linear(model.head, normed, scratch, rows, logits, STORE);
}

}  // namespace

extern "C" {

// Feed x[R][D], one input a row, which is overwritten; logits[R][outputs of the head] unless null.
void tutti_step(const Model* model, const Feed* feeds, int64_t rows, const Scratch* scratch, float* x, float* logits,
                int64_t threads) {
#pragma omp parallel num_threads(threads)
  {
    if (model->half_cache)
      run<bf16>(*model, feeds, rows, *scratch, x, logits);
    else
      run<float>(*model, feeds, rows, *scratch, x, logits);
  }
}

// Write a memory's keys and values kv[M][2D] of one layer to one slot.
void tutti_remember(const Model* model, int64_t layer, int64_t slot, int64_t rows, const float* kv) {
  std::vector<Feed> feeds;
  for (int64_t m = 0; m < rows; ++m) feeds.push_back({slot, m, m, m + 1});
  const int64_t d = model->width;
  if (model->half_cache)
    write<bf16>(*model, model->memory, layer, feeds.data(), rows, kv, kv + d, 2 * d);
  else
    write<float>(*model, model->memory, layer, feeds.data(), rows, kv, kv + d, 2 * d);
}

// y[R][N] = x[R][K] W^T, or its gelu: for what is computed once, and for tests.
void tutti_linear(const Linear* weights, const float* x, int64_t rows, const Scratch* scratch, float* y, int64_t curve,
                  int64_t threads) {
#pragma omp parallel num_threads(threads)
  linear(*weights, x, *scratch, rows, y, curve ? GELU : STORE);
}

}  // extern "C"
