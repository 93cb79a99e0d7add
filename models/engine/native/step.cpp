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

#if defined(__AVX512F__)
constexpr int LANES = 16, ROWS = 4;
#elif defined(__AVX2__)
constexpr int LANES = 8, ROWS = 3;
#else
constexpr int LANES = 4, ROWS = 4;
#endif
constexpr int VECTORS = 4;                 // of outputs that a block computes at once
constexpr int BLOCK = VECTORS * LANES;     // outputs of a block
constexpr int GROUP = 16, PARTS = GROUP / LANES;
constexpr int WIDE = 4;                    // vectors of a value that are mixed at once

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

inline float maximum(vec v) {
  float most = v[0];
  for (int i = 1; i < LANES; ++i) most = std::max(most, v[i]);
  return most;
}

// Sixteen sums by index mod 16, and their fold.
struct Sums {
  vec part[PARTS] = {};
  void add(int i, vec v) { part[i] += v; }
  void add_square(int i, vec v) { part[i] = fma(v, v, part[i]); }
  float fold() const {
    float t[GROUP];
    std::memcpy(t, part, sizeof t);
    for (int half = GROUP / 2; half; half /= 2)
      for (int i = 0; i < half; ++i) t[i] += t[i + half];
    return t[0];
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
  uint8_t* quantised;                           // [R][max(D, F)]
  float* scales;                                // [R]
};

}  // extern "C"

namespace {

enum Then { STORE, ADD, GELU };

// The functions below are called by every thread of a team; each ends when all of the team have finished.

// Rows as unsigned bytes, 128 for zero, each with a scale of its own.
void quantise(const float* x, int64_t rows, int64_t width, const Scratch& scratch) {
#pragma omp for schedule(static)
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * width;
    uint8_t* out = scratch.quantised + r * width;
    vec largest = splat(1e-8f);
    for (int64_t k = 0; k < width; k += LANES) {
      const vec v = load(row + k), size = v < splat(0.f) ? -v : v;
      largest = size > largest ? size : largest;
    }
    const float most = maximum(largest), inverse = 127.f / most;
    scratch.scales[r] = most / 127.f;
    for (int64_t k = 0; k < width; k += LANES) {
      const vec rounded = (load(row + k) * inverse + 12582912.f) - 12582912.f;
      const bvec bytes = __builtin_convertvector(__builtin_convertvector(rounded, ivec) + 128, bvec);
      std::memcpy(out + k, &bytes, sizeof bytes);
    }
  }
}

template <class W, int M>
inline void dot_float(const float* x, const W* w, int64_t inputs, int64_t output, vec (&sum)[M][VECTORS]) {
  const W* from[VECTORS];
  for (int v = 0; v < VECTORS; ++v) {
    const int64_t n = output + v * LANES;
    from[v] = w + n / GROUP * GROUP * inputs + n % GROUP;
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < VECTORS; ++v) sum[m][v] = vec{};
  for (int64_t k = 0; k < inputs; ++k) {
    vec weight[VECTORS];
    for (int v = 0; v < VECTORS; ++v) weight[v] = load(from[v] + k * GROUP);
    for (int m = 0; m < M; ++m) {
      const vec input = splat(x[m * inputs + k]);
      for (int v = 0; v < VECTORS; ++v) sum[m][v] = fma(input, weight[v], sum[m][v]);
    }
  }
}

// Exact sums of products of unsigned bytes x and signed bytes w.
template <int M>
inline void dot_int8(const uint8_t* x, const int8_t* w, int64_t inputs, int64_t output, ivec (&sum)[M][VECTORS]) {
  const int8_t* from[VECTORS];
  for (int v = 0; v < VECTORS; ++v) {
    const int64_t n = output + v * LANES;
    from[v] = w + n / GROUP * GROUP * inputs + n % GROUP * 4;
  }
#if defined(__AVX512VNNI__)
  __m512i acc[M][VECTORS];
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < VECTORS; ++v) acc[m][v] = _mm512_setzero_si512();
  for (int64_t k = 0; k < inputs; k += 4) {
    __m512i weight[VECTORS];
    for (int v = 0; v < VECTORS; ++v) weight[v] = _mm512_loadu_si512(from[v] + k * GROUP);
    for (int m = 0; m < M; ++m) {
      int32_t four;
      std::memcpy(&four, x + m * inputs + k, 4);
      const __m512i input = _mm512_set1_epi32(four);
      for (int v = 0; v < VECTORS; ++v) acc[m][v] = _mm512_dpbusd_epi32(acc[m][v], input, weight[v]);
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < VECTORS; ++v) sum[m][v] = (ivec)acc[m][v];
#elif defined(__AVX2__)
  // 16-bit products, added in pairs: an output's four products of a k make two sums, added at the end
  for (int v = 0; v < VECTORS; ++v) {
    __m256i low[M], high[M];
    for (int m = 0; m < M; ++m) low[m] = high[m] = _mm256_setzero_si256();
    for (int64_t k = 0; k < inputs; k += 4) {
      const __m256i weight = _mm256_loadu_si256((const __m256i*)(from[v] + k * GROUP));
      const __m256i first = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(weight));
      const __m256i second = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(weight, 1));
      for (int m = 0; m < M; ++m) {
        int32_t four;
        std::memcpy(&four, x + m * inputs + k, 4);
        const __m256i input = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
        low[m] = _mm256_add_epi32(low[m], _mm256_madd_epi16(input, first));
        high[m] = _mm256_add_epi32(high[m], _mm256_madd_epi16(input, second));
      }
    }
    for (int m = 0; m < M; ++m)
      sum[m][v] = (ivec)_mm256_permute4x64_epi64(_mm256_hadd_epi32(low[m], high[m]), 0xd8);
  }
#else
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < VECTORS; ++v) {
      ivec acc = {};
      for (int64_t k = 0; k < inputs; k += 4)
        for (int lane = 0; lane < LANES; ++lane)
          for (int j = 0; j < 4; ++j) acc[lane] += x[m * inputs + k + j] * from[v][k * GROUP + lane * 4 + j];
      sum[m][v] = acc;
    }
#endif
}

// M rows of y, outputs `output` to `output + BLOCK`.
template <int M>
void linear_block(const Linear& linear, const float* x, const Scratch& scratch, int64_t row, int64_t output, float* y,
                  Then then) {
  vec sum[M][VECTORS];
  const int64_t inputs = linear.inputs;
  if (linear.kind == FLOAT32) {
    dot_float<float, M>(x + row * inputs, (const float*)linear.weights, inputs, output, sum);
  } else if (linear.kind == BFLOAT16) {
    dot_float<bf16, M>(x + row * inputs, (const bf16*)linear.weights, inputs, output, sum);
  } else {
    ivec exact[M][VECTORS];
    dot_int8<M>(scratch.quantised + row * inputs, (const int8_t*)linear.weights, inputs, output, exact);
    for (int v = 0; v < VECTORS; ++v) {
      ivec offset;
      std::memcpy(&offset, linear.sums + output + v * LANES, sizeof offset);
      const vec scale = load(linear.scales + output + v * LANES);
      for (int m = 0; m < M; ++m) {
        const vec value = __builtin_convertvector(exact[m][v] - 128 * offset, vec);
        sum[m][v] = value * scratch.scales[row + m] * scale;
      }
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < VECTORS && output + v * LANES < linear.outputs; ++v) {
      float* to = y + (row + m) * linear.outputs + output + v * LANES;
      vec value = sum[m][v];
      if (then == GELU) value = gelu(value);
      if (then == ADD) value += load(to);
      store(to, value);
    }
}

// y = x W^T, or y += x W^T, or y = gelu(x W^T).
void linear(const Linear& linear, const float* x, const Scratch& scratch, int64_t rows, float* y, Then then) {
  if (linear.kind == INT8) quantise(x, rows, linear.inputs, scratch);
#pragma omp for schedule(static)
  for (int64_t output = 0; output < linear.outputs; output += BLOCK) {
    int64_t row = 0;
    for (; row + ROWS <= rows; row += ROWS) linear_block<ROWS>(linear, x, scratch, row, output, y, then);
    for (; row + 2 <= rows; row += 2) linear_block<2>(linear, x, scratch, row, output, y, then);
    for (; row < rows; ++row) linear_block<1>(linear, x, scratch, row, output, y, then);
  }
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

// The probabilities of `filled` entries; those of the entries up to the next multiple of 64 are 0.
template <class T>
void attend(const float* query, const T* keys, int64_t filled, int64_t e, float* probabilities) {
  const float scale = 1.f / std::sqrt(float(e));
  const int64_t end = (filled + 63) / 64 * 64;
  for (int64_t t = 0; t < end; t += BLOCK) {
    vec score[VECTORS] = {};
    const T* from[VECTORS];
    for (int v = 0; v < VECTORS; ++v) from[v] = keys + (t + v * LANES) / GROUP * GROUP * e + (t + v * LANES) % GROUP;
    for (int64_t j = 0; j < e; ++j) {
      const vec q = splat(query[j]);
      for (int v = 0; v < VECTORS; ++v) score[v] = fma(q, load(from[v] + j * GROUP), score[v]);
    }
    for (int v = 0; v < VECTORS; ++v) store(probabilities + t + v * LANES, score[v] * scale);
  }
  std::fill(probabilities + filled, probabilities + end, -1e30f);
  vec largest = splat(-1e30f);
  for (int64_t t = 0; t < end; t += LANES) {
    const vec s = load(probabilities + t);
    largest = s > largest ? s : largest;
  }
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
    attend((const float*)queries + r * stride + h * e, (const T*)cache.keys + start, filled, e, probabilities.data());
    const T* values = (const T*)cache.values + start;
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
