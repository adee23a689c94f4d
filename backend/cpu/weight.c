/* backend/cpu/weight.c - matrices packed into panels (internal.h), and rows read back out of them. */
#include "backend/cpu/internal.h"
#include "base/mem.h"
#include "base/minmax.h"
#include <string.h>

/* ---- number formats ---- */

static uint16_t f32_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)((bits >> 16) | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static float f16_to_f32(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t exponent = (bits >> 10) & 31u, fraction = bits & 1023u;
    float value;
    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    const uint32_t wide = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static float element(const void *source, enum dtype dtype, size_t i)
{
    switch (dtype) {
    case DTYPE_BF16:
        return bf16_to_f32(((const uint16_t *)source)[i]);
    case DTYPE_F16:
        return f16_to_f32(((const uint16_t *)source)[i]);
    default:
        return ((const float *)source)[i];
    }
}

/* ---- sizes ---- */

static int32_t padded_inner(const struct panels *panels)
{
    return (panels->inner + PAIR_ALIGNMENT - 1) / PAIR_ALIGNMENT * PAIR_ALIGNMENT;
}

size_t panels_stride(const struct panels *panels)
{
    return panels->form == PANEL_PAIRS ? (size_t)padded_inner(panels) * PANEL * sizeof(uint16_t)
                                       : (size_t)panels->inner * PANEL * sizeof(float);
}

static size_t panels_size(const struct panels *panels)
{
    return panels_stride(panels) * (size_t)panel_count(panels->outputs);
}

/* Fills in what is kept of a weight at `memory`, and returns its size. */
static size_t lay_out(struct weight *weight, const struct weight_shape *shape, enum dtype compute,
                      unsigned char *memory)
{
    assert(shape->rows > 0 && shape->columns > 0 && shape->uses != 0);
    const enum panel_form form = compute == DTYPE_BF16 || shape->dtype == DTYPE_BF16 ? PANEL_PAIRS : PANEL_F32;
    *weight = (struct weight){
        .shape = *shape,
        .forward = {.form = form, .outputs = shape->rows, .inner = shape->columns},
        .backward = {.form = form, .outputs = shape->columns, .inner = shape->rows},
    };
    size_t size = 0;
    if (shape->uses & WEIGHT_FORWARD) {
        weight->forward.data = memory;
        size += panels_size(&weight->forward);
    }
    if (shape->uses & WEIGHT_BACKWARD) {
        weight->backward.data = memory + size;
        size += panels_size(&weight->backward);
    }
    if (shape->uses == WEIGHT_LOOKUP || shape->uses == (WEIGHT_LOOKUP | WEIGHT_BACKWARD)) {
        weight->plain = memory + size;
        size += (size_t)shape->rows * (size_t)shape->columns * dtype_size(shape->dtype);
    }
    return size;
}

size_t cpu_weight_size(struct backend *backend, const struct weight_shape *shape)
{
    static unsigned char nowhere[1];
    struct weight weight;
    return lay_out(&weight, shape, backend->compute, nowhere);
}

/* ---- packing ---- */

/*
 * A task packs one panel, a piece of the inner dimension at a time: as f32 (widened, if the source is narrower), then
 * through the kernels. In the forward panels outputs are rows of the source, in the backward ones columns.
 */
#define PIECE 256 /* of inner; a multiple of PAIR_ALIGNMENT */

struct pack {
    const struct cpu *cpu;
    const struct panels *panels;
    unsigned char *data;
    const void *source; /* [rows, columns] */
    enum dtype dtype;
    size_t columns;
    bool backward;
};

/* `rows` rows of `width` values of the source from element `at`: in place where they are f32, else widened into `room`.
 */
static struct operand_rows source_rows(const struct pack *pack, size_t at, int32_t rows, int32_t width, float *room)
{
    if (pack->dtype == DTYPE_F32) {
        return (struct operand_rows){(const float *)pack->source + at, pack->columns, DTYPE_F32};
    }
    for (int32_t row = 0; row < rows; row++) {
        const uint16_t *from = (const uint16_t *)pack->source + at + (size_t)row * pack->columns;
        float *to = room + (size_t)row * (size_t)width;
        if (pack->dtype == DTYPE_BF16) {
            pack->cpu->kernels.from_bf16(&(struct conversion){.src = from, .dst = to}, 0, width);
        }
        for (int32_t i = 0; i < width && pack->dtype == DTYPE_F16; i++) {
            to[i] = f16_to_f32(from[i]);
        }
    }
    return (struct operand_rows){room, (size_t)width, DTYPE_F32};
}

static void pack_panel(void *context, int64_t index)
{
    const struct pack *pack = context;
    const struct panels *panels = pack->panels;
    const struct cpu_kernels *kernels = &pack->cpu->kernels;
    const int32_t first = (int32_t)index * PANEL, left = panels->outputs - first;
    const int32_t outputs = min(left, PANEL);
    unsigned char *panel = pack->data + (size_t)index * panels_stride(panels);
    float room[PANEL * PIECE];
    for (int32_t piece = 0; piece < panels->inner; piece += PIECE) {
        const int32_t inner = min(panels->inner - piece, PIECE);
        const int32_t padded = (inner + PAIR_ALIGNMENT - 1) / PAIR_ALIGNMENT * PAIR_ALIGNMENT;
        const size_t row = (size_t)(pack->backward ? piece : first), column = (size_t)(pack->backward ? first : piece);
        const int32_t rows = pack->backward ? inner : outputs, width = pack->backward ? outputs : inner;
        const struct operand_rows from = source_rows(pack, row * pack->columns + column, rows, width, room);
        if (panels->form == PANEL_PAIRS) {
            uint32_t *to = (uint32_t *)(void *)panel + (size_t)piece / 2 * PANEL;
            if (pack->backward) {
                kernels->pack_pairs(to, 0, &from, rows, width, PANEL, padded);
            } else {
                kernels->panel_of_row_pairs(to, from.data, from.stride, rows, width, padded);
            }
        } else {
            float *to = (float *)(void *)panel + (size_t)piece * PANEL;
            if (pack->backward) {
                kernels->pack_strips(to, 0, &from, rows, width, PANEL);
            } else {
                kernels->panel_of_rows(to, from.data, from.stride, rows, width);
            }
        }
    }
}

static void pack(struct cpu *cpu, const struct weight *weight, const struct panels *panels, const void *source,
                 enum dtype dtype, bool backward)
{
    if (!panels->data) {
        return;
    }
    const size_t columns = (size_t)weight->shape.columns;
    struct pack job = {
        .cpu = cpu,
        .panels = panels,
        .data = (unsigned char *)(uintptr_t)panels->data,
        .source = source,
        .dtype = dtype,
        .columns = columns,
        .backward = backward,
    };
    cpu_run(cpu, pack_panel, &job, panel_count(panels->outputs), (double)weight->shape.rows * (double)columns);
}

static void keep_plain(const struct weight *weight, const void *source, enum dtype dtype)
{
    if (!weight->plain) {
        return;
    }
    const size_t count = (size_t)weight->shape.rows * (size_t)weight->shape.columns;
    void *plain = (void *)(uintptr_t)weight->plain;
    if (dtype == weight->shape.dtype) {
        memcpy(plain, source, count * dtype_size(dtype));
        return;
    }
    assert(dtype == DTYPE_F32 && weight->shape.dtype == DTYPE_BF16);
    for (size_t i = 0; i < count; i++) {
        ((uint16_t *)plain)[i] = f32_to_bf16(((const float *)source)[i]);
    }
}

static void fill_weight(struct cpu *cpu, const struct weight *weight, const void *source, enum dtype dtype)
{
    pack(cpu, weight, &weight->forward, source, dtype, false);
    pack(cpu, weight, &weight->backward, source, dtype, true);
    keep_plain(weight, source, dtype);
}

int cpu_weight_create(struct backend *backend, struct weight **out, const struct weight_shape *shape, void *memory,
                      const void *source, struct err *err)
{
    struct weight *weight = mem_alloc(1, sizeof *weight, err);
    if (!weight) {
        return -1;
    }
    lay_out(weight, shape, backend->compute, memory);
    if (source) {
        fill_weight(cpu_of(backend), weight, source, shape->dtype);
    }
    *out = weight;
    return 0;
}

void cpu_weight_free(struct backend *backend, struct weight *weight)
{
    (void)backend;
    mem_free(weight);
}

void cpu_weight_update(struct backend *backend, const struct weight_update_args *arguments)
{
    fill_weight(cpu_of(backend), arguments->weight, arguments->master, DTYPE_F32);
}

/* ---- rows by number ---- */

static void embed_rows(const void *arguments, int64_t first, int64_t end)
{
    const struct embed_args *embed = arguments;
    const struct weight *table = embed->table;
    const struct panels *panels = &table->forward;
    const size_t columns = (size_t)table->shape.columns;
    for (int64_t row = first; row < end; row++) {
        const size_t id = (size_t)embed->ids[row];
        assert(id < (size_t)table->shape.rows);
        float *out = embed->out + (size_t)row * columns;
        const unsigned char *panel =
            table->plain ? NULL : (const unsigned char *)panels->data + id / PANEL * panels_stride(panels);
        for (size_t i = 0; i < columns; i++) {
            float value;
            if (table->plain) {
                value = element(table->plain, table->shape.dtype, id * columns + i);
            } else if (panels->form == PANEL_F32) {
                value = ((const float *)(const void *)panel)[i * PANEL + id % PANEL];
            } else {
                const uint32_t pair = ((const uint32_t *)(const void *)panel)[i / 2 * PANEL + id % PANEL];
                value = bf16_to_f32((uint16_t)(i % 2 ? pair >> 16 : pair));
            }
            out[i] = embed->scale * value;
        }
    }
}

void cpu_embed(struct backend *backend, const struct embed_args *arguments)
{
    assert(arguments->table->shape.uses & WEIGHT_LOOKUP);
    cpu_split(cpu_of(backend), embed_rows, arguments, arguments->rows, 1, arguments->table->shape.columns);
}
