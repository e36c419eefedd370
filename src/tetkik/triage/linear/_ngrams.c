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
#define SIEVE_BITS 19
#define SIEVE (1u << SIEVE_BITS)
#define WORD_END '$'
#define BIAS 3.0f

/* The tables are larger than a core's cache and are read all over: ask for a line some visits before it is needed. */
#define AHEAD 12

enum { KIND_CHAR = 1, KIND_PREFIX5 = 2, KIND_PREFIX4 = 3, KIND_PAIR = 4 };

static inline uint32_t fnv(uint32_t hash, uint8_t byte) { return (hash ^ byte) * FNV_PRIME; }

static inline uint32_t bucket_of(uint32_t hash) { return (hash * 2654435761u) >> (32 - BUCKET_BITS); }

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("arch=x86-64-v3", "default"))) /* AVX2 where the machine has it */
#else
#define WIDEST
#endif

/* A growing array of one type. */
typedef struct {
    char *data;
    size_t used, room, width;
} Array;

static int array_reserve(Array *array, size_t more) {
    if (array->used + more <= array->room) return 0;
    size_t room = array->room ? array->room : 1024;
    while (room < array->used + more) room *= 2;
    char *data = PyMem_RawRealloc(array->data, room * array->width);
    if (!data) return -1;
    array->data = data;
    array->room = room;
    return 0;
}

static int array_push(Array *array, const void *item) {
    if (array_reserve(array, 1)) return -1;
    memcpy(array->data + array->used++ * array->width, item, array->width);
    return 0;
}

static PyObject *array_bytes(Array *array) {
    return PyBytes_FromStringAndSize(array->data, (Py_ssize_t)(array->used * array->width));
}

/* An n-gram of a text: its bucket, later its feature, and where it stands. */
typedef struct {
    uint32_t id;
    int32_t start, end;
} Gram;

static inline void push_gram(Array *grams, uint32_t hash, Py_ssize_t start, Py_ssize_t end) {
    ((Gram *)grams->data)[grams->used++] = (Gram){bucket_of(hash), (int32_t)start, (int32_t)end};
}

/* Every n-gram of one folded text: grams[0] of characters, grams[1] of words. The text is words divided by single
   spaces, with a space before the first and after the last. */
WIDEST static int find_grams(const uint8_t *text, Py_ssize_t length, Array *grams) {
    const uint32_t seed_char = fnv(FNV_OFFSET, KIND_CHAR), seed5 = fnv(FNV_OFFSET, KIND_PREFIX5);
    const uint32_t seed4 = fnv(FNV_OFFSET, KIND_PREFIX4), seed_pair = fnv(FNV_OFFSET, KIND_PAIR);
    uint32_t before = 0;
    Py_ssize_t before_at = -1;
    grams[0].used = grams[1].used = 0;
    if (array_reserve(&grams[0], 4 * (size_t)length) || array_reserve(&grams[1], 3 * (size_t)length)) return -1;
    for (Py_ssize_t i = 0; i < length; i++) {
        uint32_t hash = fnv(seed_char, text[i]);
        for (int n = 1; n < 5 && i + n < length; n++) {
            hash = fnv(hash, text[i + n]);
            push_gram(&grams[0], hash, i, i + n + 1);
            if (text[i + n] == ' ') break;
        }
        if (text[i] != ' ' || i + 1 >= length) continue;
        uint32_t five = seed5, four = seed4;
        Py_ssize_t end = i + 1;
        for (; end < length && text[end] != ' '; end++) {
            if (end - i <= 5) five = fnv(five, text[end]);
            if (end - i <= 4) four = fnv(four, text[end]);
        }
        push_gram(&grams[1], five, i + 1, end);
        push_gram(&grams[1], four, i + 1, end);
        if (before_at >= 0) {
            uint32_t pair = seed_pair;
            for (int shift = 0; shift < 32; shift += 8) pair = fnv(pair, (uint8_t)(before >> shift));
            for (int shift = 0; shift < 32; shift += 8) pair = fnv(pair, (uint8_t)(five >> shift));
            push_gram(&grams[1], pair, before_at, end);
        }
        before = five;
        before_at = i + 1;
    }
    return 0;
}

/* document_frequency(texts, groups, frequency): in how many groups each bucket stands. */
static PyObject *document_frequency(PyObject *self, PyObject *args) {
    PyObject *texts;
    Py_buffer groups, chars, words;
    if (!PyArg_ParseTuple(args, "O!y*w*w*", &PyList_Type, &texts, &groups, &chars, &words)) return NULL;
    PyObject *result = NULL;
    Py_ssize_t count = PyList_Size(texts);
    uint32_t *frequency[2] = {chars.buf, words.buf};
    int32_t *last[2] = {PyMem_RawMalloc((size_t)BUCKETS * 4), PyMem_RawMalloc((size_t)BUCKETS * 4)};
    Array grams[2] = {{NULL, 0, 0, sizeof(Gram)}, {NULL, 0, 0, sizeof(Gram)}};
    if (groups.len != count * 4 || chars.len != BUCKETS * 4 || words.len != BUCKETS * 4) {
        PyErr_SetString(PyExc_ValueError, "document_frequency: a buffer has the wrong size");
        goto done;
    }
    if (!last[0] || !last[1]) {
        PyErr_NoMemory();
        goto done;
    }
    memset(last[0], 0xff, (size_t)BUCKETS * 4);
    memset(last[1], 0xff, (size_t)BUCKETS * 4);
    for (Py_ssize_t i = 0; i < count; i++) {
        const int32_t group = ((const int32_t *)groups.buf)[i];
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GetItem(texts, i), &text, &length)) goto done;
        if (find_grams((const uint8_t *)text, length, grams)) {
            PyErr_NoMemory();
            goto done;
        }
        for (int k = 0; k < 2; k++) {
            const Gram *gram = (const Gram *)grams[k].data;
            for (size_t j = 0; j < grams[k].used; j++) {
                if (j + AHEAD < grams[k].used) __builtin_prefetch(last[k] + gram[j + AHEAD].id);
                if (last[k][gram[j].id] == group) continue;
                last[k][gram[j].id] = group;
                frequency[k][gram[j].id]++;
            }
        }
        if (i % 4096 == 0 && PyErr_CheckSignals()) goto done;
    }
    result = Py_NewRef(Py_None);
done:
    for (int k = 0; k < 2; k++) {
        PyMem_RawFree(last[k]);
        PyMem_RawFree(grams[k].data);
    }
    PyBuffer_Release(&groups);
    PyBuffer_Release(&chars);
    PyBuffer_Release(&words);
    return result;
}

/* A feature of a text and how often it stands there. */
typedef struct {
    uint32_t feature, count;
} Tally;

/* What a row is made with; see `features.py` for each. */
typedef struct {
    const uint64_t *bits[2]; /* bitmap over the buckets: is it a feature? (characters, words) */
    const uint32_t *ranks[2];
    const float *idf[2];
    Py_ssize_t width[2];
    const uint64_t *keys; /* the lexicon's trie: open addressing on (node + 1) << 32 | hash of a word's prefix */
    const int32_t *children;
    const uint64_t *sieve; /* a bitmap that says of most keys that they are not there */
    uint64_t mask;
    const int32_t *node_term;
    const float *term_idf;
    const uint8_t *levels;
    Py_ssize_t terms;
    int departments;
    float term_scale, department_scale;
    /* work space */
    Py_buffer buffer[12];
    Array grams[2], slots, tally, hits;
    uint8_t *seen;
    Array indices, values;
    /* for `attribute`: what a column is worth, and the sums by place */
    const float *gain;
    double *change;
} Work;

typedef struct {
    int32_t term, first, last; /* words */
    int32_t start, end;        /* characters */
} Hit;

static void work_free(Work *work) {
    for (int k = 0; k < 2; k++) PyMem_RawFree(work->grams[k].data);
    PyMem_RawFree(work->slots.data);
    PyMem_RawFree(work->tally.data);
    PyMem_RawFree(work->seen);
    PyMem_RawFree(work->hits.data);
    PyMem_RawFree(work->indices.data);
    PyMem_RawFree(work->values.data);
    for (int i = 0; i < 12; i++) PyBuffer_Release(&work->buffer[i]);
}

/* Fill `work` from the tuple that `Featuriser.tables` gives. On failure the caller still calls `work_free`. */
static int work_open(Work *work, PyObject *tables) {
    Py_buffer *b = work->buffer;
    if (!PyArg_ParseTuple(tables, "y*y*y*y*y*y*y*y*y*y*y*y*iff", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &b[6],
                          &b[7], &b[8], &b[9], &b[10], &b[11], &work->departments, &work->term_scale,
                          &work->department_scale))
        return -1;
    for (int k = 0; k < 2; k++) {
        work->bits[k] = b[3 * k].buf;
        work->ranks[k] = b[3 * k + 1].buf;
        work->idf[k] = b[3 * k + 2].buf;
        work->width[k] = b[3 * k + 2].len / 4;
        work->grams[k].width = sizeof(Gram);
    }
    work->keys = b[6].buf;
    work->children = b[7].buf;
    work->mask = (uint64_t)b[6].len / 8 - 1;
    work->sieve = b[8].buf;
    work->node_term = b[9].buf;
    work->term_idf = b[10].buf;
    work->terms = b[10].len / 4;
    work->levels = b[11].buf;
    work->hits.width = sizeof(Hit);
    work->tally.width = sizeof(Tally);
    work->slots.width = 4;
    work->indices.width = work->values.width = 4;
    if (work->departments < 1 || work->departments > 64 || b[0].len != BUCKETS / 8 || b[3].len != BUCKETS / 8 ||
        b[1].len != BUCKETS / 16 || b[4].len != BUCKETS / 16 || b[11].len != work->terms * work->departments ||
        b[7].len * 2 != b[6].len || b[8].len != SIEVE / 8) {
        PyErr_SetString(PyExc_ValueError, "a table has the wrong size");
        return -1;
    }
    work->seen = PyMem_RawCalloc((size_t)work->terms + 1, 1);
    if (!work->seen) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static inline int push_feature(Work *work, int32_t index, float value) {
    if (array_reserve(&work->indices, 1) || array_reserve(&work->values, 1)) return -1;
    ((int32_t *)work->indices.data)[work->indices.used++] = index;
    ((float *)work->values.data)[work->values.used++] = value;
    return 0;
}

/* Add `worth` evenly to the characters from `start` to `end`. */
static void spread(Work *work, int32_t start, int32_t end, double worth) {
    work->change[start] += worth / (end - start);
    work->change[end] -= worth / (end - start);
}

/* Replace the buckets of a block's n-grams by the places of their features in the tally; leave out the others. */
WIDEST static int count_block(Work *work, int kind) {
    Array *grams = &work->grams[kind], *tally = &work->tally;
    Gram *gram = (Gram *)grams->data;
    const uint64_t *bits = work->bits[kind];
    const uint32_t *ranks = work->ranks[kind];
    size_t kept = 0;
    for (size_t i = 0; i < grams->used; i++) {
        if (i + AHEAD < grams->used) {
            __builtin_prefetch(bits + (gram[i + AHEAD].id >> 6));
            __builtin_prefetch(ranks + (gram[i + AHEAD].id >> 6));
        }
        const uint64_t word = bits[gram[i].id >> 6], bit = 1ull << (gram[i].id & 63);
        if (!(word & bit)) continue;
        gram[kept] = gram[i];
        gram[kept++].id = ranks[gram[i].id >> 6] + (uint32_t)__builtin_popcountll(word & (bit - 1));
    }
    grams->used = kept;
    /* A small hash table of this text's own features stays in the nearest cache. */
    int size_bits = 4;
    while (((size_t)1 << size_bits) < 2 * kept) size_bits++;
    const uint32_t mask = (1u << size_bits) - 1;
    work->slots.used = tally->used = 0;
    if (array_reserve(&work->slots, (size_t)mask + 1) || array_reserve(tally, kept)) return -1;
    uint32_t *slots = (uint32_t *)work->slots.data;
    Tally *entry = (Tally *)tally->data;
    memset(slots, 0, ((size_t)mask + 1) * sizeof *slots);
    for (size_t i = 0; i < kept; i++) {
        uint32_t slot = (gram[i].id * 2654435761u) >> (32 - size_bits);
        while (slots[slot] && entry[slots[slot] - 1].feature != gram[i].id) slot = (slot + 1) & mask;
        if (!slots[slot]) {
            entry[tally->used++] = (Tally){gram[i].id, 0};
            slots[slot] = (uint32_t)tally->used;
        }
        gram[i].id = slots[slot] - 1;
        entry[gram[i].id].count++;
    }
    return 0;
}

/* Term frequencies of one block, weighted by idf and scaled to unit length. */
WIDEST static int push_block(Work *work, int kind, int32_t offset) {
    if (count_block(work, kind)) return -1;
    const Tally *entry = (const Tally *)work->tally.data;
    const size_t used = work->tally.used;
    const float *idf = work->idf[kind];
    double square = 0;
    if (array_reserve(&work->indices, used) || array_reserve(&work->values, used)) return -1;
    float *values = (float *)work->values.data + work->values.used;
    for (size_t i = 0; i < used; i++) {
        if (i + AHEAD < used) __builtin_prefetch(idf + entry[i + AHEAD].feature);
        float value = idf[entry[i].feature];
        if (entry[i].count > 1) value *= 1.0f + logf((float)entry[i].count);
        square += (double)value * value;
        if (push_feature(work, offset + (int32_t)entry[i].feature, value)) return -1;
    }
    const float scale = square > 0 ? (float)(1.0 / sqrt(square)) : 0;
    for (size_t i = 0; i < used; i++) values[i] *= scale;
    const Gram *gram = (const Gram *)work->grams[kind].data;
    for (size_t i = 0; i < work->grams[kind].used && work->change; i++) {
        const uint32_t place = gram[i].id;
        spread(work, gram[i].start, gram[i].end,
               (double)values[place] / entry[place].count * work->gain[offset + (int32_t)entry[place].feature]);
    }
    return 0;
}

static int32_t child_of(const Work *work, int32_t node, uint32_t hash) {
    const uint64_t key = ((uint64_t)(node + 1) << 32) | hash, mixed = key * 0x9e3779b97f4a7c15ull;
    const uint64_t sift = mixed >> (64 - SIEVE_BITS);
    if (!(work->sieve[sift >> 6] >> (sift & 63) & 1)) return -1;
    for (uint64_t slot = mixed >> 32;; slot++) {
        const uint64_t found = work->keys[slot & work->mask];
        if (found == key) return work->children[slot & work->mask];
        if (found == 0) return -1;
    }
}

static int walk(Work *work, const uint8_t *text, Py_ssize_t length, Py_ssize_t at, int32_t node, Hit from) {
    uint32_t hash = FNV_OFFSET;
    if (from.last - from.first >= MAX_DEPTH) return 0;
    Py_ssize_t space = at;
    while (space < length && text[space] != ' ') space++;
    from.last++;
    from.end = (int32_t)space;
    for (Py_ssize_t n = at; n < at + MAX_PREFIX && n <= space && n < length; n++) {
        hash = fnv(hash, n == space ? WORD_END : text[n]);
        const int32_t child = child_of(work, node, hash);
        if (child < 0) continue;
        from.term = work->node_term[child];
        if (from.term >= 0 && array_push(&work->hits, &from)) return -1;
        if (space + 1 < length && walk(work, text, length, space + 1, child, from)) return -1;
    }
    return 0;
}

/* Whether a longer hit, or a later one of the same words, covers hit i. Hits come in the order of their first
   word, so only neighbours can. */
static int is_covered(const Hit *hits, size_t count, size_t i) {
    size_t j = i;
    while (j > 0 && hits[j - 1].first + MAX_DEPTH > hits[i].first) j--;
    for (; j < count && hits[j].first <= hits[i].first; j++) {
        if (hits[j].last < hits[i].last) continue;
        if (hits[j].last - hits[j].first > hits[i].last - hits[i].first || (j > i && hits[j].first == hits[i].first))
            return 1;
    }
    return 0;
}

enum { ONCE, NEAR, OPEN, SHARE, SUMS };

static int push_lexicon(Work *work, int32_t offset) {
    const Hit *hits = (const Hit *)work->hits.data;
    const int d = work->departments;
    const size_t count = work->hits.used;
    float sums[SUMS][64] = {{0}}, total = 0;
    double square = 0;
    const size_t first = work->values.used;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *level = work->levels + (size_t)hits[i].term * d;
        const float near = expf(-(float)hits[i].first / 30.0f);
        const int once = !work->seen[hits[i].term], open = !is_covered(hits, count, i);
        if (once) {
            const float value = work->term_idf[hits[i].term];
            work->seen[hits[i].term] = 1;
            square += (double)value * value;
            if (value > 0 && push_feature(work, offset + hits[i].term, value)) return -1;
        }
        for (int c = 0; c < d; c++) {
            if (once) sums[ONCE][c] += level[c];
            sums[NEAR][c] += near * level[c];
            if (open) sums[OPEN][c] += level[c];
        }
    }
    const float scale = square > 0 ? (float)(work->term_scale / sqrt(square)) : 0;
    for (size_t i = first; i < work->values.used; i++) ((float *)work->values.data)[i] *= scale;
    for (size_t i = 0; i < count; i++) work->seen[hits[i].term] = 0;
    for (int c = 0; c < d; c++) total += sums[ONCE][c];
    /* expm1 undoes the log(1 + s) to come: a share stays a share. */
    for (int c = 0; c < d; c++) sums[SHARE][c] = total > 0 ? expm1f(sums[ONCE][c] / total) : 0;
    const int32_t departments_at = offset + (int32_t)work->terms;
    for (int sum = 0; sum < SUMS; sum++)
        for (int c = 0; c < d; c++) {
            const float value = log1pf(sums[sum][c]) * work->department_scale;
            if (value != 0 && push_feature(work, departments_at + sum * d + c, value)) return -1;
        }
    for (size_t i = 0; i < count && work->change; i++) {
        const uint8_t *level = work->levels + (size_t)hits[i].term * d;
        const int once = !work->seen[hits[i].term], open = !is_covered(hits, count, i);
        const double part[SUMS] = {once, expf(-(float)hits[i].first / 30.0f), open, once};
        double worth = once ? scale * work->term_idf[hits[i].term] * work->gain[offset + hits[i].term] : 0;
        work->seen[hits[i].term] = 1;
        for (int sum = 0; sum < SUMS; sum++)
            for (int c = 0; c < d; c++)
                if (level[c] && sums[sum][c] > 0)
                    worth += part[sum] * level[c] / sums[sum == SHARE ? ONCE : sum][c] * log1pf(sums[sum][c]) *
                             work->department_scale * work->gain[departments_at + sum * d + c];
        spread(work, hits[i].start, hits[i].end, worth);
    }
    for (size_t i = 0; i < count; i++) work->seen[hits[i].term] = 0;
    return 0;
}

static int push_text(Work *work, const uint8_t *text, Py_ssize_t length) {
    if (find_grams(text, length, work->grams)) return -1;
    if (push_block(work, 0, 0) || push_block(work, 1, (int32_t)work->width[0])) return -1;
    int32_t offset = (int32_t)(work->width[0] + work->width[1]), word = 0;
    work->hits.used = 0;
    for (Py_ssize_t i = 0; i + 1 < length; i++)
        if (text[i] == ' ') {
            Hit from = {-1, word, word, (int32_t)i + 1, 0};
            if (walk(work, text, length, i + 1, 0, from)) return -1;
            word++;
        }
    if (push_lexicon(work, offset)) return -1;
    return push_feature(work, offset + (int32_t)work->terms + SUMS * work->departments, BIAS);
}

/* featurise(texts, tables) -> (indptr, indices, values) as bytes: the rows of prepared texts. */
static PyObject *featurise(PyObject *self, PyObject *args) {
    PyObject *texts, *tables, *result = NULL;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &texts, &PyTuple_Type, &tables)) return NULL;
    Work work = {0};
    Array indptr = {NULL, 0, 0, 8};
    int64_t end = 0;
    int failed = work_open(&work, tables);
    if (failed) goto done;
    failed = array_push(&indptr, &end);
    for (Py_ssize_t i = 0; i < PyList_Size(texts) && !failed; i++) {
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GetItem(texts, i), &text, &length)) goto done;
        failed = push_text(&work, (const uint8_t *)text, length);
        end = (int64_t)work.indices.used;
        failed = failed || array_push(&indptr, &end);
        if (i % 4096 == 4095 && PyErr_CheckSignals()) goto done;
    }
    if (failed)
        PyErr_NoMemory();
    else
        result = Py_BuildValue("(NNN)", array_bytes(&indptr), array_bytes(&work.indices), array_bytes(&work.values));
done:
    PyMem_RawFree(indptr.data);
    work_free(&work);
    return result;
}

/* attribute(text, tables, gain, change): add to `change`, one double a byte and one more, the differences between
   neighbouring bytes of what each adds to the sum of gain * value over the text's row. */
static PyObject *attribute(PyObject *self, PyObject *args) {
    PyObject *tables, *result = NULL;
    const char *text;
    Py_ssize_t length;
    Py_buffer gain, change;
    if (!PyArg_ParseTuple(args, "y#O!y*w*", &text, &length, &PyTuple_Type, &tables, &gain, &change)) return NULL;
    Work work = {0};
    if (work_open(&work, tables)) goto done;
    if (change.len != (length + 1) * 8 ||
        gain.len != (work.width[0] + work.width[1] + work.terms + SUMS * work.departments + 1) * 4) {
        PyErr_SetString(PyExc_ValueError, "attribute: the arrays do not fit each other");
        goto done;
    }
    work.gain = gain.buf;
    work.change = change.buf;
    if (push_text(&work, (const uint8_t *)text, length))
        PyErr_NoMemory();
    else
        result = Py_NewRef(Py_None);
done:
    work_free(&work);
    PyBuffer_Release(&gain);
    PyBuffer_Release(&change);
    return result;
}

/* Weights stand in rows of `stride` floats, a multiple of 16, so that the inner loops need no remainder. */
#define LANES 16
#define MAX_STRIDE 256

static inline void add_row(float *restrict sum, const float *restrict line, float value, int stride) {
    for (int block = 0; block < stride; block += LANES)
        for (int lane = block; lane < block + LANES; lane++) sum[lane] += value * line[lane];
}

#define FETCH(weight, index, i, end, stride) \
    if ((i) + AHEAD < (end)) __builtin_prefetch((weight) + (size_t)(index)[(i) + AHEAD] * (stride))

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
            FETCH(weight, index, i, at[row + 1], stride);
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

/* score(texts, tables, weights, out, stride): `featurise` and `multiply` in one, without keeping the rows. */
WIDEST static PyObject *score(PyObject *self, PyObject *args) {
    PyObject *texts, *tables, *result = NULL;
    Py_buffer weights, out;
    int stride;
    if (!PyArg_ParseTuple(args, "O!O!y*w*i", &PyList_Type, &texts, &PyTuple_Type, &tables, &weights, &out, &stride))
        return NULL;
    Work work = {0};
    if (work_open(&work, tables)) goto done;
    const Py_ssize_t columns = work.width[0] + work.width[1] + work.terms + SUMS * work.departments + 1;
    const Py_ssize_t count = PyList_Size(texts);
    if (stride < LANES || stride > MAX_STRIDE || stride % LANES || weights.len != columns * stride * 4 ||
        out.len != count * stride * 4) {
        PyErr_SetString(PyExc_ValueError, "score: the arrays do not fit each other");
        goto done;
    }
    const float *weight = weights.buf;
    for (Py_ssize_t row = 0; row < count; row++) {
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GetItem(texts, row), &text, &length)) goto done;
        work.indices.used = work.values.used = 0;
        if (push_text(&work, (const uint8_t *)text, length)) {
            PyErr_NoMemory();
            goto done;
        }
        const int32_t *index = (const int32_t *)work.indices.data;
        const float *value = (const float *)work.values.data;
        float *sum = (float *)out.buf + row * stride;
        memset(sum, 0, (size_t)stride * 4);
        for (size_t i = 0; i < work.indices.used; i++) {
            FETCH(weight, index, i, work.indices.used, stride);
            add_row(sum, weight + (size_t)index[i] * stride, value[i], stride);
        }
        if (row % 4096 == 4095 && PyErr_CheckSignals()) goto done;
    }
    result = Py_NewRef(Py_None);
done:
    work_free(&work);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&out);
    return result;
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
   Returns the sum of |step|, which falls to nothing as the dual converges. Other threads run meanwhile. */
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
    int bad = 0;
    if (stride < LANES || stride > MAX_STRIDE || stride % LANES || classes > stride || b[7].len != rows * stride * 4) {
        PyErr_SetString(PyExc_ValueError, "ascend: the arrays do not fit each other");
        bad = 1;
    }
    Py_BEGIN_ALLOW_THREADS;
    for (int64_t visit = 0; visit < b[6].len / 8 && !bad; visit++) {
        const int64_t row = order[visit];
        float score[MAX_STRIDE] = {0}, step[MAX_STRIDE] = {0}, size = 0;
        for (int64_t i = at[row]; i < at[row + 1]; i++) {
            FETCH(weight, index, i, at[row + 1], stride);
            add_row(score, weight + (size_t)index[i] * stride, value[i], stride);
        }
        (loss ? softmax_step : hinge_step)(score, cost[label[row]], square[row] / regularisation, label[row], classes,
                                           dual + row * stride, step);
        for (int c = 0; c < classes; c++) {
            size += fabsf(step[c]);
            step[c] /= regularisation;
        }
        moved += size;
        if (size > 1e-6f)
            for (int64_t i = at[row]; i < at[row + 1]; i++) {
                FETCH(weight, index, i, at[row + 1], stride);
                add_row(weight + (size_t)index[i] * stride, step, value[i], stride);
            }
    }
    Py_END_ALLOW_THREADS;
    for (int i = 0; i < 9; i++) PyBuffer_Release(&b[i]);
    return bad ? NULL : PyFloat_FromDouble(moved);
}

static PyMethodDef methods[] = {
    {"document_frequency", document_frequency, METH_VARARGS, "In how many duplicate groups each bucket stands."},
    {"featurise", featurise, METH_VARARGS, "Folded texts to rows of weighted features."},
    {"attribute", attribute, METH_VARARGS, "What each character of a text adds to a weighted sum of its row."},
    {"score", score, METH_VARARGS, "Folded texts to sums of weights."},
    {"multiply", multiply, METH_VARARGS, "Sparse rows times a dense matrix."},
    {"ascend", ascend, METH_VARARGS, "One pass of stochastic dual coordinate ascent."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_ngrams", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__ngrams(void) { return PyModule_Create(&module); }
