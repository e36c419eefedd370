/* The features of complaints and two inner loops over them, in C. `features.py` holds the same work in NumPy,
   says what each feature is, and is what runs where this module was not built; tests hold the two equal. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FNV_OFFSET 2166136261u
#define FNV_PRIME 16777619u
#define BUCKET_BITS 22
#define BUCKETS (1u << BUCKET_BITS)
#define MAX_PREFIX 24
#define MAX_DEPTH 8
#define WORD_END '$'
#define BIAS 3.0f

enum { KIND_CHAR = 1, KIND_PREFIX5 = 2, KIND_PREFIX4 = 3, KIND_PAIR = 4 };

static inline uint32_t fnv(uint32_t hash, uint8_t byte) { return (hash ^ byte) * FNV_PRIME; }

static inline uint32_t bucket_of(uint32_t hash) { return (hash * 2654435761u) >> (32 - BUCKET_BITS); }

/* A growing array of one type. */
typedef struct {
    char *data;
    size_t used, room, width;
} Array;

static int array_push(Array *array, const void *item) {
    if (array->used == array->room) {
        size_t room = array->room ? array->room * 2 : 1024;
        char *data = PyMem_RawRealloc(array->data, room * array->width);
        if (!data) return -1;
        array->data = data;
        array->room = room;
    }
    memcpy(array->data + array->used++ * array->width, item, array->width);
    return 0;
}

static PyObject *array_bytes(Array *array) {
    return PyBytes_FromStringAndSize(array->data, (Py_ssize_t)(array->used * array->width));
}

/* Every n-gram of one folded text, its bucket told to `emit`. The text is words divided by single spaces,
   with a space before the first and after the last. */
typedef int (*Emit)(void *context, uint32_t bucket, int is_word);

static int each_gram(const uint8_t *text, Py_ssize_t length, Emit emit, void *context) {
    const uint32_t seed_char = fnv(FNV_OFFSET, KIND_CHAR), seed5 = fnv(FNV_OFFSET, KIND_PREFIX5);
    const uint32_t seed4 = fnv(FNV_OFFSET, KIND_PREFIX4), seed_pair = fnv(FNV_OFFSET, KIND_PAIR);
    uint32_t before = 0;
    int has_before = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        uint32_t hash = fnv(seed_char, text[i]);
        for (int n = 1; n < 5 && i + n < length; n++) {
            hash = fnv(hash, text[i + n]);
            if (emit(context, bucket_of(hash), 0)) return -1;
            if (text[i + n] == ' ') break;
        }
        if (text[i] != ' ' || i + 1 >= length) continue;
        uint32_t five = seed5, four = seed4;
        for (int n = 1; n <= 5 && i + n < length && text[i + n] != ' '; n++) {
            five = fnv(five, text[i + n]);
            if (n <= 4) four = fnv(four, text[i + n]);
        }
        if (emit(context, bucket_of(five), 1) || emit(context, bucket_of(four), 1)) return -1;
        if (has_before) {
            uint32_t pair = seed_pair;
            for (int shift = 0; shift < 32; shift += 8) pair = fnv(pair, (uint8_t)(before >> shift));
            for (int shift = 0; shift < 32; shift += 8) pair = fnv(pair, (uint8_t)(five >> shift));
            if (emit(context, bucket_of(pair), 1)) return -1;
        }
        before = five;
        has_before = 1;
    }
    return 0;
}

/* document_frequency(texts, groups, frequency): in how many groups each bucket stands. */
typedef struct {
    uint32_t *frequency[2];
    int32_t *last[2];
    int32_t group;
} Frequencies;

static int count_group(void *context, uint32_t bucket, int is_word) {
    Frequencies *all = context;
    if (all->last[is_word][bucket] != all->group) {
        all->last[is_word][bucket] = all->group;
        all->frequency[is_word][bucket]++;
    }
    return 0;
}

static PyObject *document_frequency(PyObject *self, PyObject *args) {
    PyObject *texts;
    Py_buffer groups, chars, words;
    if (!PyArg_ParseTuple(args, "O!y*w*w*", &PyList_Type, &texts, &groups, &chars, &words)) return NULL;
    PyObject *result = NULL;
    Py_ssize_t count = PyList_Size(texts);
    Frequencies all = {{chars.buf, words.buf}, {NULL, NULL}, 0};
    if (groups.len != count * 4 || chars.len != BUCKETS * 4 || words.len != BUCKETS * 4) {
        PyErr_SetString(PyExc_ValueError, "document_frequency: a buffer has the wrong size");
        goto done;
    }
    for (int k = 0; k < 2; k++) {
        all.last[k] = PyMem_RawMalloc((size_t)BUCKETS * 4);
        if (!all.last[k]) {
            PyErr_NoMemory();
            goto done;
        }
        memset(all.last[k], 0xff, (size_t)BUCKETS * 4);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GetItem(texts, i), &text, &length)) goto done;
        all.group = ((const int32_t *)groups.buf)[i];
        each_gram((const uint8_t *)text, length, count_group, &all);
        if (i % 4096 == 0 && PyErr_CheckSignals()) goto done;
    }
    result = Py_NewRef(Py_None);
done:
    PyMem_RawFree(all.last[0]);
    PyMem_RawFree(all.last[1]);
    PyBuffer_Release(&groups);
    PyBuffer_Release(&chars);
    PyBuffer_Release(&words);
    return result;
}

/* What `featurise` needs besides the texts; see `features.py` for each. */
typedef struct {
    const uint64_t *bits[2]; /* bitmap over the buckets: is it a feature? (characters, words) */
    const uint32_t *ranks[2];
    const float *idf[2];
    Py_ssize_t width[2];
    const uint64_t *keys; /* the lexicon's trie: open addressing on (node + 1) << 32 | hash of a word's prefix */
    const int32_t *children;
    uint64_t mask;
    const int32_t *node_term;
    const float *term_idf;
    const uint8_t *levels;
    Py_ssize_t terms;
    int departments;
    float term_scale, dense_scale;
    /* work space */
    uint16_t *counts[2];
    Array touched[2], hits;
    uint8_t *seen;
    Array indices, values;
} Work;

typedef struct {
    int32_t term, start, end;
} Hit;

static int count_feature(void *context, uint32_t bucket, int is_word) {
    Work *work = context;
    uint64_t bits = work->bits[is_word][bucket >> 6], below = 1ull << (bucket & 63);
    if (!(bits & below)) return 0;
    int32_t feature =
        (int32_t)(work->ranks[is_word][bucket >> 6] + (uint32_t)__builtin_popcountll(bits & (below - 1)));
    if (work->counts[is_word][feature] == 0 && array_push(&work->touched[is_word], &feature)) return -1;
    if (work->counts[is_word][feature] < UINT16_MAX) work->counts[is_word][feature]++;
    return 0;
}

static int push_feature(Work *work, int32_t index, float value) {
    return array_push(&work->indices, &index) || array_push(&work->values, &value) ? -1 : 0;
}

static int32_t child_of(const Work *work, int32_t node, uint32_t hash) {
    uint64_t key = ((uint64_t)(node + 1) << 32) | hash;
    uint64_t slot = (key * 0x9e3779b97f4a7c15ull) >> 32;
    for (;; slot++) {
        uint64_t found = work->keys[slot & work->mask];
        if (found == key) return work->children[slot & work->mask];
        if (found == 0) return -1;
    }
}

static int walk(Work *work, const uint8_t *text, Py_ssize_t length, Py_ssize_t at, int32_t node, int32_t start,
                int32_t word) {
    uint32_t hash = FNV_OFFSET;
    if (word - start >= MAX_DEPTH) return 0;
    for (Py_ssize_t n = 0; n < MAX_PREFIX && at + n < length; n++) {
        int end = text[at + n] == ' ';
        hash = fnv(hash, end ? WORD_END : text[at + n]);
        int32_t child = child_of(work, node, hash);
        if (child >= 0) {
            if (work->node_term[child] >= 0) {
                Hit hit = {work->node_term[child], start, word + 1};
                if (array_push(&work->hits, &hit)) return -1;
            }
            Py_ssize_t next = at + n;
            while (next < length && text[next] != ' ') next++;
            if (next + 1 < length && walk(work, text, length, next + 1, child, start, word + 1)) return -1;
        }
        if (end) break;
    }
    return 0;
}

/* Term frequencies of one block, weighted by idf and scaled to unit length. */
static int push_block(Work *work, int kind, int32_t offset) {
    double square = 0;
    size_t first = work->values.used;
    for (size_t i = 0; i < work->touched[kind].used; i++) {
        int32_t feature = ((int32_t *)work->touched[kind].data)[i];
        float value = (1.0f + logf((float)work->counts[kind][feature])) * work->idf[kind][feature];
        work->counts[kind][feature] = 0;
        square += (double)value * value;
        if (push_feature(work, offset + feature, value)) return -1;
    }
    work->touched[kind].used = 0;
    float scale = square > 0 ? (float)(1.0 / sqrt(square)) : 0;
    for (size_t i = first; i < work->values.used; i++) ((float *)work->values.data)[i] *= scale;
    return 0;
}

static int is_covered(const Hit *hits, size_t count, size_t i) {
    for (size_t j = 0; j < count; j++) {
        if (hits[j].start > hits[i].start || hits[j].end < hits[i].end) continue;
        if (hits[j].end - hits[j].start > hits[i].end - hits[i].start || (j > i && hits[j].start == hits[i].start))
            return 1;
    }
    return 0;
}

static int push_lexicon(Work *work, int32_t offset) {
    const Hit *hits = (const Hit *)work->hits.data;
    const int d = work->departments;
    float sums[4][64] = {{0}};
    double square = 0;
    size_t first = work->values.used;
    for (size_t i = 0; i < work->hits.used; i++) {
        const uint8_t *level = work->levels + (size_t)hits[i].term * d;
        const float near = expf(-(float)hits[i].start / 30.0f);
        const int once = !work->seen[hits[i].term], open = !is_covered(hits, work->hits.used, i);
        if (once) {
            float value = work->term_idf[hits[i].term];
            work->seen[hits[i].term] = 1;
            square += (double)value * value;
            if (value > 0 && push_feature(work, offset + hits[i].term, value)) return -1;
        }
        for (int c = 0; c < d; c++) {
            if (once) sums[0][c] += level[c];
            sums[1][c] += near * level[c];
            if (open) sums[2][c] += level[c];
        }
    }
    float scale = square > 0 ? (float)(work->term_scale / sqrt(square)) : 0;
    for (size_t i = first; i < work->values.used; i++) ((float *)work->values.data)[i] *= scale;
    for (size_t i = 0; i < work->hits.used; i++) work->seen[hits[i].term] = 0;
    float total = 0;
    for (int c = 0; c < d; c++) total += sums[0][c];
    for (int c = 0; c < d; c++) sums[3][c] = total > 0 ? expm1f(sums[0][c] / total) : 0;
    int32_t column = offset + (int32_t)work->terms;
    for (int block = 0; block < 4; block++)
        for (int c = 0; c < d; c++, column++) {
            float value = log1pf(sums[block][c]) * work->dense_scale;
            if (value != 0 && push_feature(work, column, value)) return -1;
        }
    return 0;
}

static int push_text(Work *work, const uint8_t *text, Py_ssize_t length) {
    if (each_gram(text, length, count_feature, work)) return -1;
    if (push_block(work, 0, 0) || push_block(work, 1, (int32_t)work->width[0])) return -1;
    int32_t offset = (int32_t)(work->width[0] + work->width[1]);
    work->hits.used = 0;
    int32_t word = 0;
    for (Py_ssize_t i = 0; i + 1 < length; i++)
        if (text[i] == ' ' && walk(work, text, length, i + 1, 0, word, word) == -1) return -1;
        else if (text[i] == ' ') word++;
    if (push_lexicon(work, offset)) return -1;
    return push_feature(work, offset + (int32_t)work->terms + 4 * work->departments, BIAS);
}

/* featurise(texts, chars, words, trie, terms, departments, scales) -> (indptr, indices, values) as bytes. */
static PyObject *featurise(PyObject *self, PyObject *args) {
    PyObject *texts, *result = NULL;
    Py_buffer buffer[11] = {{0}};
    Work work = {0};
    if (!PyArg_ParseTuple(args, "O!y*y*y*y*y*y*y*y*y*y*y*iff", &PyList_Type, &texts, &buffer[0], &buffer[1],
                          &buffer[2], &buffer[3], &buffer[4], &buffer[5], &buffer[6], &buffer[7], &buffer[8],
                          &buffer[9], &buffer[10], &work.departments, &work.term_scale, &work.dense_scale))
        return NULL;
    for (int k = 0; k < 2; k++) {
        work.bits[k] = buffer[3 * k].buf;
        work.ranks[k] = buffer[3 * k + 1].buf;
        work.idf[k] = buffer[3 * k + 2].buf;
        work.width[k] = buffer[3 * k + 2].len / 4;
        work.touched[k].width = 4;
    }
    work.keys = buffer[6].buf;
    work.children = buffer[7].buf;
    work.mask = (uint64_t)buffer[6].len / 8 - 1;
    work.node_term = buffer[8].buf;
    work.term_idf = buffer[9].buf;
    work.terms = buffer[9].len / 4;
    work.levels = buffer[10].buf;
    work.hits.width = sizeof(Hit);
    work.indices.width = work.values.width = 4;
    Array indptr = {NULL, 0, 0, 8};
    if (work.departments < 1 || work.departments > 64 || buffer[0].len != BUCKETS / 8 ||
        buffer[3].len != BUCKETS / 8 || buffer[1].len != BUCKETS / 16 || buffer[4].len != BUCKETS / 16 ||
        buffer[10].len != work.terms * work.departments || buffer[7].len * 2 != buffer[6].len) {
        PyErr_SetString(PyExc_ValueError, "featurise: a buffer has the wrong size");
        goto done;
    }
    work.counts[0] = PyMem_RawCalloc((size_t)work.width[0] + 1, 2);
    work.counts[1] = PyMem_RawCalloc((size_t)work.width[1] + 1, 2);
    work.seen = PyMem_RawCalloc((size_t)work.terms + 1, 1);
    int64_t end = 0;
    if (!work.counts[0] || !work.counts[1] || !work.seen || array_push(&indptr, &end)) {
        PyErr_NoMemory();
        goto done;
    }
    Py_ssize_t count = PyList_Size(texts);
    for (Py_ssize_t i = 0; i < count; i++) {
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GetItem(texts, i), &text, &length)) goto done;
        if (push_text(&work, (const uint8_t *)text, length)) {
            PyErr_NoMemory();
            goto done;
        }
        end = (int64_t)work.indices.used;
        if (array_push(&indptr, &end)) {
            PyErr_NoMemory();
            goto done;
        }
        if (i % 4096 == 0 && PyErr_CheckSignals()) goto done;
    }
    result = Py_BuildValue("(NNN)", array_bytes(&indptr), array_bytes(&work.indices), array_bytes(&work.values));
done:
    for (int k = 0; k < 2; k++) {
        PyMem_RawFree(work.counts[k]);
        PyMem_RawFree(work.touched[k].data);
    }
    PyMem_RawFree(work.seen);
    PyMem_RawFree(work.hits.data);
    PyMem_RawFree(work.indices.data);
    PyMem_RawFree(work.values.data);
    PyMem_RawFree(indptr.data);
    for (int i = 0; i < 11; i++) PyBuffer_Release(&buffer[i]);
    return result;
}

/* Weights stand in rows of `stride` floats, a multiple of 16, so that the inner loops need no remainder. */
#define LANES 16
#define MAX_STRIDE 256

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("arch=x86-64-v3", "default"))) /* AVX2 where the machine has it */
#else
#define WIDEST
#endif

static inline void add_row(float *restrict sum, const float *restrict line, float value, int stride) {
    for (int block = 0; block < stride; block += LANES)
        for (int lane = block; lane < block + LANES; lane++) sum[lane] += value * line[lane];
}

/* multiply(indptr, indices, values, weights, out, stride): out[row] = sum of value * weights[index]. */
WIDEST static PyObject *multiply(PyObject *self, PyObject *args) {
    Py_buffer indptr, indices, values, weights, out;
    int stride;
    if (!PyArg_ParseTuple(args, "y*y*y*y*w*i", &indptr, &indices, &values, &weights, &out, &stride)) return NULL;
    const int64_t *at = indptr.buf, rows = indptr.len / 8 - 1;
    const int32_t *index = indices.buf;
    const float *value = values.buf, *weight = weights.buf;
    int bad = stride < LANES || stride > MAX_STRIDE || stride % LANES || rows < 0 ||
              out.len != rows * stride * 4 || indices.len != values.len || at[rows] * 4 != indices.len;
    const int64_t features = bad ? 0 : weights.len / (4 * stride);
    for (int64_t row = 0; row < rows && !bad; row++) {
        float *sum = (float *)out.buf + row * stride;
        memset(sum, 0, (size_t)stride * 4);
        for (int64_t i = at[row]; i < at[row + 1]; i++) {
            bad |= index[i] < 0 || index[i] >= features;
            if (!bad) add_row(sum, weight + (size_t)index[i] * stride, value[i], stride);
        }
    }
    PyBuffer_Release(&indptr);
    PyBuffer_Release(&indices);
    PyBuffer_Release(&values);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&out);
    if (bad) {
        PyErr_SetString(PyExc_ValueError, "multiply: the arrays do not fit each other");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Squared hinge, each class against the rest: the exact coordinate step (Hsieh et al., ICML 2008, section 2). */
static void hinge_step(const float *score, float cost, float square, int label, int classes, float *dual,
                       float *step) {
    for (int c = 0; c < classes; c++) {
        const float sign = c == label ? 1.0f : -1.0f;
        const float gradient = sign * score[c] - 1.0f + dual[c] / cost;
        float next = dual[c] - gradient / (square + 1.0f / cost);
        if (next < 0) next = 0;
        step[c] = sign * (next - dual[c]);
        dual[c] = next;
    }
}

/* Multinomial logistic loss: the step that its smoothness (1/2 in the 2-norm) makes safe (Shalev-Shwartz and
   Zhang, Mathematical Programming 155, 2016, Prox-SDCA option V). */
static void softmax_step(const float *score, float cost, float square, int label, int classes, float *dual,
                         float *step) {
    float p[MAX_STRIDE], total = 0, high = score[0];
    for (int c = 1; c < classes; c++)
        if (score[c] > high) high = score[c];
    for (int c = 0; c < classes; c++) total += p[c] = expf(score[c] - high);
    const float size = 2.0f / (2.0f + cost * square);
    for (int c = 0; c < classes; c++) {
        step[c] = size * (cost * ((c == label ? 1.0f : 0.0f) - p[c] / total) - dual[c]);
        dual[c] += step[c];
    }
}

/* ascend(indptr, indices, values, squares, labels, costs, order, dual, weights, classes, stride, regularisation,
   loss): one pass over the rows in `order`. The weights are always the sum of dual * row / regularisation.
   Returns the sum of |step|, which falls to nothing as the dual converges. */
WIDEST static PyObject *ascend(PyObject *self, PyObject *args) {
    Py_buffer b[9] = {{0}};
    int classes, stride, loss;
    float regularisation;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*w*w*iifi", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &b[6], &b[7],
                          &b[8], &classes, &stride, &regularisation, &loss))
        return NULL;
    const int64_t *at = b[0].buf, *order = b[6].buf;
    const int32_t *index = b[1].buf, *label = b[4].buf;
    const float *value = b[2].buf, *square = b[3].buf, *cost = b[5].buf;
    float *dual = b[7].buf, *weight = b[8].buf;
    const int64_t rows = b[0].len / 8 - 1;
    double moved = 0;
    int stop = 0;
    if (stride < LANES || stride > MAX_STRIDE || stride % LANES || classes > stride || b[7].len != rows * stride * 4) {
        PyErr_SetString(PyExc_ValueError, "ascend: the arrays do not fit each other");
        stop = 1;
    }
    for (int64_t visit = 0; visit < b[6].len / 8 && !stop; visit++) {
        const int64_t row = order[visit];
        float score[MAX_STRIDE] = {0}, step[MAX_STRIDE] = {0}, size = 0;
        for (int64_t i = at[row]; i < at[row + 1]; i++)
            add_row(score, weight + (size_t)index[i] * stride, value[i], stride);
        (loss ? softmax_step : hinge_step)(score, cost[label[row]], square[row] / regularisation, label[row], classes,
                                           dual + row * stride, step);
        for (int c = 0; c < classes; c++) {
            size += fabsf(step[c]);
            step[c] /= regularisation;
        }
        moved += size;
        if (size > 1e-6f)
            for (int64_t i = at[row]; i < at[row + 1]; i++)
                add_row(weight + (size_t)index[i] * stride, step, value[i], stride);
        if (visit % 1024 == 0) stop = PyErr_CheckSignals();
    }
    for (int i = 0; i < 9; i++) PyBuffer_Release(&b[i]);
    return stop ? NULL : PyFloat_FromDouble(moved);
}

static PyMethodDef methods[] = {
    {"document_frequency", document_frequency, METH_VARARGS, "In how many duplicate groups each bucket stands."},
    {"featurise", featurise, METH_VARARGS, "Folded texts to rows of weighted features."},
    {"multiply", multiply, METH_VARARGS, "Sparse rows times a dense matrix."},
    {"ascend", ascend, METH_VARARGS, "One pass of stochastic dual coordinate ascent."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_ngrams", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__ngrams(void) { return PyModule_Create(&module); }
