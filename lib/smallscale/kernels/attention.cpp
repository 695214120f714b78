// How fast is the same algorithm with nothing between it and the processor?
//
// FlashAttention-2 over tiles of Br queries and Bc keys (Dao 2023, algorithms 1 and 2).
// Read tiled.py first: this is the same, line by line.
//
// The products are left to the matrix library that torch itself uses. What is left is
// the softmax: a loop that the compiler turns into vector instructions, over a tile of
// scores small enough to stay in the processor's cache.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/utils/pybind.h>

#include <bit>

using at::Tensor;
constexpr double LOG2E = 1.4426950408889634;

inline double power2(double x) { return std::exp2(x); }

// 2^x for x <= 0, without calls or branches, so that sixteen are computed at a time;
// relative error 1e-7. x = n + r, n whole, r in [-1/2, 1/2]: a polynomial fitted to
// 2^r, its exponent raised by n. NaN stays NaN.
inline float power2(float x) {
  const float least = -126.0f;
  const float shift = 12582912.0f;  // 1.5 * 2^23: the last bits of y + shift are n
  float y = x < least ? least : x;
  float n = y + shift;
  float r = y - (n - shift);
  float p = 1.53458120e-4f;
  p = p * r + 1.33999314e-3f;
  p = p * r + 9.61848896e-3f;
  p = p * r + 5.55032878e-2f;
  p = p * r + 2.40226469e-1f;
  p = p * r + 6.93147206e-1f;
  p = p * r + 1.0f;
  float whole = std::bit_cast<float>((std::bit_cast<uint32_t>(n) + 127) << 23);
  return x < least ? 0.0f : p * whole;
}

// One head's (n, d) matrix in the type of the sums; copied only where it must be.
Tensor head(const Tensor& x, int64_t b, int64_t h, at::ScalarType work) {
  return x[b][h].to(work).contiguous();
}

// Adds W x to sum, of the pairs in sight alone. Elsewhere W is 0; but 0 times NaN is NaN,
// so that what is not finite in x is added number by number, to the rows that see it.
// whole: all pairs are in sight; sees(r, c): row r of W sees row c of x.
template <typename T, typename Sees>
void add_product(Tensor sum, Tensor W, Tensor x, bool whole, Sees sees) {
  const T* first = x.data_ptr<T>();  // x has one piece of memory
  const T most = std::numeric_limits<T>::max();
  auto finite = [&](T number) { return std::abs(number) <= most; };
  int broken = 0;
  if (!whole) {
#pragma omp simd reduction(+ : broken)
    for (int64_t i = 0; i < x.numel(); i++) broken += !finite(first[i]);
  }
  if (!broken) {
    at::addmm_out(sum, sum, W, x);
    return;
  }
  at::addmm_out(sum, sum, W, x.masked_fill(at::isfinite(x).logical_not(), 0));
  auto to = sum.accessor<T, 2>(), weights = W.accessor<T, 2>();
  for (int64_t c = 0; c < x.size(0); c++)
    for (int64_t e = 0; e < x.size(1); e++) {
      const T number = first[c * x.size(1) + e];
      if (finite(number)) continue;
      for (int64_t r = 0; r < W.size(0); r++)
        if (sees(r, c)) to[r][e] += weights[r][c] * number;
    }
}

// By which power of two the weights of a head's values (n, d) must be smaller, so that no
// sum of n values overflows; 0 where none can, and where a value is infinite or NaN.
template <typename T>
int room_for(const Tensor& v) {
  const T* x = v.data_ptr<T>();
  T largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < v.numel(); i++) {
    const T size = std::abs(x[i]);
    const T finite = size <= std::numeric_limits<T>::max() ? size : T(0);
    largest = finite > largest ? finite : largest;
  }
  const bool fits = largest <= std::numeric_limits<T>::max() / 4 / T(v.size(0));
  return fits ? 0 : 2 + int(std::ceil(std::log2(double(v.size(0)))));
}

// Writes out and lse of one tile of queries. The scores are after * q k^T. q: (rows, d);
// k, v: (n, d); S: room for a tile of scores; offset: query i of the tile sees the keys
// 0 .. i + offset; the weights are 2^-less times what they would be.
template <typename T>
void forward_tile(Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, Tensor S,
                  int64_t offset, double after, int less) {
  const int64_t rows = q.size(0), d = q.size(1), Bc = S.size(1);
  const int64_t stop = std::min(k.size(0), rows + offset);
  std::vector<T> top(rows, std::numeric_limits<T>::lowest());
  std::vector<T> total(rows, 0);
  Tensor acc = at::zeros_like(q);
  T* s = S.data_ptr<T>();
  T* o = acc.data_ptr<T>();
  T* l = lse.data_ptr<T>();
  const T to_base2 = after * LOG2E;
  for (int64_t j = 0; j < stop; j += Bc) {
    const int64_t cols = std::min(Bc, stop - j);
    Tensor tile = S.narrow(0, 0, rows).narrow(1, 0, cols);
    at::mm_out(tile, q, k.narrow(0, j, cols).t());
    for (int64_t i = 0; i < rows; i++) {
      T* row = s + i * Bc;
      T highest = top[i];
      T sum = 0;
      const int64_t seen = std::clamp<int64_t>(i + offset + 1 - j, 0, cols);
      std::fill(row + seen, row + cols, T(0));  // weights: out of sight they are 0
#pragma omp simd reduction(max : highest)
      for (int64_t c = 0; c < seen; c++) highest = row[c] > highest ? row[c] : highest;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < seen; c++)
        sum += row[c] = power2((row[c] - highest) * to_base2 - T(less));
      // What was summed is relative to the old maximum.
      const T shrink = power2((top[i] - highest) * to_base2);
#pragma omp simd
      for (int64_t c = 0; c < d; c++) o[i * d + c] *= shrink;
      total[i] = total[i] * shrink + sum;
      top[i] = highest;
    }
    add_product<T>(acc, tile, v.narrow(0, j, cols), offset + 1 - j >= cols,
                   [&](int64_t i, int64_t c) { return c <= i + offset - j; });
  }
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t c = 0; c < d; c++) {
      const T acc = o[i * d + c], mean = acc / (total[i] == 0 ? 1 : total[i]);
      // A mean of finite values is beyond the largest number by rounding alone.
      const bool rounds_up = std::isinf(mean) && std::isfinite(acc);
      o[i * d + c] = rounds_up ? std::copysign(std::numeric_limits<T>::max(), mean) : mean;
    }
    l[i] = T(after) * top[i] + std::log(std::ldexp(total[i], less));
  }
  out.copy_(acc);
}

// Adds one tile of queries' part to dq (this tile's), dk and dv (all keys').
// S, dS: room for a tile of weights and of their gradients.
template <typename T>
void backward_tile(Tensor q, Tensor k, Tensor v, Tensor dout, Tensor lse, Tensor delta,
                   Tensor dq, Tensor dk, Tensor dv, Tensor S, Tensor dS, int64_t offset,
                   double after) {
  const int64_t rows = q.size(0), Bc = S.size(1);
  const int64_t stop = std::min(k.size(0), rows + offset);
  T* s = S.data_ptr<T>();
  T* ds = dS.data_ptr<T>();
  T* l = lse.data_ptr<T>();
  T* D = delta.data_ptr<T>();
  const T to_base2 = after * LOG2E;
  for (int64_t j = 0; j < stop; j += Bc) {
    const int64_t cols = std::min(Bc, stop - j);
    Tensor k_j = k.narrow(0, j, cols);
    Tensor dk_j = dk.narrow(0, j, cols);
    Tensor dv_j = dv.narrow(0, j, cols);
    Tensor p_tile = S.narrow(0, 0, rows).narrow(1, 0, cols);
    Tensor ds_tile = dS.narrow(0, 0, rows).narrow(1, 0, cols);
    at::mm_out(p_tile, q, k_j.t());
    at::mm_out(ds_tile, dout, v.narrow(0, j, cols).t());
    for (int64_t i = 0; i < rows; i++) {
      T* p = s + i * Bc;
      T* dp = ds + i * Bc;
      const int64_t seen = std::clamp<int64_t>(i + offset + 1 - j, 0, cols);
      std::fill(p + seen, p + cols, T(0));
      std::fill(dp + seen, dp + cols, T(0));
      // A row that saw no key has lse -inf; with +inf its weights are 0.
      const T l_i = std::isinf(l[i]) ? INFINITY : l[i] / T(after);
      const T D_i = D[i];
#pragma omp simd
      for (int64_t c = 0; c < seen; c++) {
        p[c] = power2((p[c] - l_i) * to_base2);
        dp[c] = p[c] * (dp[c] - D_i);
      }
    }
    const bool whole = offset + 1 - j >= cols;
    auto sees = [&](int64_t i, int64_t c) { return c <= i + offset - j; };
    auto seen_by = [&](int64_t c, int64_t i) { return sees(i, c); };
    add_product<T>(dv_j, p_tile.t(), dout, whole, seen_by);
    add_product<T>(dk_j, ds_tile.t(), q, whole, seen_by);
    add_product<T>(dq, ds_tile, k_j, whole, sees);
  }
}

std::tuple<Tensor, Tensor> forward(Tensor q, Tensor k, Tensor v, double scale,
                                   int64_t offset, int64_t Br) {
  const int64_t heads = q.size(1), n = q.size(2), group = heads / k.size(1);
  const int64_t T = (n + Br - 1) / Br;  // tiles of queries
  const double after = std::max(1.0, std::abs(scale));  // as split_scale in sight.py
  const double before = scale / after;
  const auto work = at::promote_types(q.scalar_type(), at::kFloat);
  Tensor out = at::empty(q.sizes(), q.options());
  Tensor lse = at::empty({q.size(0), heads, n}, q.options().dtype(work));
  const bool inference = c10::InferenceMode::is_enabled();  // each thread is told
  at::parallel_for(0, q.size(0) * heads * T, 1, [&](int64_t begin, int64_t end) {
    c10::InferenceMode as_caller(inference);
    at::AutoDispatchBelowAutograd no_gradients;
    Tensor K, V;
    Tensor S = at::empty({std::min(Br, n), std::min(4 * Br, k.size(2))}, lse.options());
    int64_t loaded = -1;  // the kv head that K and V hold
    int less = 0;
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / T / heads, h = task / T % heads, t = task % T;
      const int64_t wanted = task / T / group;
      if (loaded != wanted) {
        K = head(k, b, h / group, work);
        V = head(v, b, h / group, work);
        AT_DISPATCH_FLOATING_TYPES(work, "room", [&] { less = room_for<scalar_t>(V); });
        loaded = wanted;
      }
      // Causal tiles grow heavier downwards: light and heavy in turn, every thread gets
      // its share of both.
      const int64_t i = (t % 2 ? T - 1 - t / 2 : t / 2) * Br;
      const int64_t rows = std::min(Br, n - i);
      Tensor q_i = q[b][h].narrow(0, i, rows).to(work).contiguous() * before;
      Tensor out_i = out[b][h].narrow(0, i, rows);
      Tensor lse_i = lse[b][h].narrow(0, i, rows);
      AT_DISPATCH_FLOATING_TYPES(work, "forward", [&] {
        forward_tile<scalar_t>(q_i, K, V, out_i, lse_i, S, i + offset, after, less);
      });
    }
  });
  return {out, lse};
}

std::tuple<Tensor, Tensor, Tensor> backward(Tensor dout, Tensor dlse, Tensor q,
                                            Tensor k, Tensor v, Tensor out, Tensor lse,
                                            double scale, int64_t offset, int64_t Br) {
  const int64_t n = q.size(2), kv_heads = k.size(1), group = q.size(1) / kv_heads;
  const auto work = lse.scalar_type();
  const double after = std::max(1.0, std::abs(scale));  // as split_scale in sight.py
  const double before = scale / after;
  Tensor dq = at::empty(q.sizes(), q.options());
  Tensor dk = at::empty(k.sizes(), k.options());
  Tensor dv = at::empty_like(dk);
  const bool inference = c10::InferenceMode::is_enabled();
  at::parallel_for(0, q.size(0) * kv_heads, 1, [&](int64_t begin, int64_t end) {
    c10::InferenceMode as_caller(inference);
    at::AutoDispatchBelowAutograd no_gradients;
    Tensor S = at::empty({std::min(Br, n), std::min(4 * Br, k.size(2))}, lse.options());
    Tensor dS = at::empty_like(S);
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / kv_heads, g = task % kv_heads;
      Tensor K = head(k, b, g, work), V = head(v, b, g, work);
      Tensor dK = at::zeros_like(K), dV = at::zeros_like(V);
      for (int64_t h = g * group; h < (g + 1) * group; h++) {
        Tensor Q = head(q, b, h, work) * before;
        Tensor dO = head(dout, b, h, work);
        Tensor dQ = at::zeros_like(Q);
        Tensor delta = (dO * out[b][h]).sum(-1) - dlse[b][h];
        for (int64_t i = 0; i < n; i += Br) {
          auto part = [&](Tensor x) { return x.narrow(0, i, std::min(Br, n - i)); };
          AT_DISPATCH_FLOATING_TYPES(work, "backward", [&] {
            backward_tile<scalar_t>(part(Q), K, V, part(dO), part(lse[b][h]),
                                    part(delta), part(dQ), dK, dV, S, dS, i + offset,
                                    after);
          });
        }
        dq[b][h].copy_(dQ.mul_(scale));
      }
      dk[b][g].copy_(dK.mul_(after));  // q came times before
      dv[b][g].copy_(dV);
    }
  });
  return {dq, dk, dv};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &forward, py::call_guard<py::gil_scoped_release>());
  m.def("backward", &backward, py::call_guard<py::gil_scoped_release>());
}
