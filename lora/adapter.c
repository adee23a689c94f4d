/* lora/adapter.c - which layers an adapter is on, its memory and its values; see adapter.h. */
#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "base/suggest.h"
#include "lora/internal.h"
#include <assert.h>
#include <math.h>
#include <string.h>

double adapter_scale(const struct adapter *adapter, const struct adapter_target *target)
{
    return target->alpha / (adapter->rank_stabilized ? sqrt((double)target->rank) : (double)target->rank);
}

bool adapter_name_matches(const char *path, const char *name)
{
    size_t path_length = strlen(path), name_length = strlen(name);
    if (name_length > path_length || strcmp(path + path_length - name_length, name) != 0) {
        return false;
    }
    return name_length == path_length || path[path_length - name_length - 1] == '.';
}

int adapter_add_target(struct adapter *adapter, int32_t linear, int32_t rank, double alpha, struct err *err)
{
    const struct linear_spec *spec = &adapter->model->linears[linear].spec;
    int32_t most = min(spec->outputs, spec->inputs);
    if (rank < 1 || rank > most || rank > LORA_RANK_MAX) {
        return err_set(err, "rank %d does not fit %s [%d, %d]; take lora_r from 1 to %d", rank, spec->path,
                       spec->outputs, spec->inputs, min(most, LORA_RANK_MAX));
    }
    adapter->targets[adapter->target_count] = (struct adapter_target){linear, rank, alpha, 2 * adapter->target_count};
    adapter->target_count++;
    return 0;
}

int adapter_new(struct adapter **out, struct model *model, struct err *err)
{
    struct adapter *adapter = mem_alloc(1, sizeof *adapter, err);
    if (!adapter) {
        return -1;
    }
    adapter->model = model;
    adapter->targets = mem_alloc((size_t)model->linear_count, sizeof *adapter->targets, err);
    if (!adapter->targets) {
        mem_free(adapter);
        return -1;
    }
    hash_text(adapter->base, model_fingerprint(model));
    *out = adapter;
    return 0;
}

const char *adapter_module(const struct adapter *adapter, enum tensor_role role)
{
    return adapter->model->config.architecture->modules[role];
}

static int save_module(struct adapter *adapter, const char *name, struct err *err)
{
    const char *embedding = adapter_module(adapter, TENSOR_EMBEDDING), *head = adapter_module(adapter, TENSOR_HEAD);
    if (adapter_name_matches(embedding, name)) {
        adapter->save_embedding = true;
    } else if (adapter_name_matches(head, name)) {
        adapter->save_head = true;
    } else {
        return err_set(err, "'%s' cannot be trained whole beside an adapter; lora_modules_to_save takes %s and %s",
                       name, path_leaf(embedding), path_leaf(head));
    }
    return 0;
}

/* The last parts of the linear layers' paths, each once: "q_proj". */
struct leaf_names {
    const char *names[LINEAR_ROLE_COUNT + 1];
    size_t count;
};

static void list_leaf_names(struct leaf_names *list, const struct model *model)
{
    list->count = 0;
    for (int32_t n = 0; n < model->linear_count && list->count < LINEAR_ROLE_COUNT; n++) {
        const char *leaf = path_leaf(model->linears[n].spec.path);
        size_t i = 0;
        while (i < list->count && strcmp(list->names[i], leaf) != 0) {
            i++;
        }
        list->names[i] = leaf;
        list->count += i == list->count;
    }
}

static int refuse_target(const struct model *model, const char *name, struct err *err)
{
    struct leaf_names known;
    struct strbuf text = {0};
    list_leaf_names(&known, model);
    for (size_t i = 0; i < known.count; i++) {
        strbuf_printf(&text, "%s, ", known.names[i]);
    }
    known.names[known.count++] = "all-linear";
    const char *nearest = suggest_nearest(name, known.names, known.count);
    if (strbuf_check(&text, err) == 0) {
        err_set(err,
                "lora_target_modules: no linear layer of the model is called '%s'%s%s%s; there are %sand all-linear "
                "for all of them",
                name, nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "",
                strbuf_text(&text));
    }
    strbuf_free(&text);
    return -1;
}

/* Every name must hit a layer, or it is a mistake that would otherwise pass in silence. */
static int check_names(const struct adapter *adapter, const struct adapter_options *options, struct err *err)
{
    const struct model *model = adapter->model;
    for (size_t i = 0; i < options->target_count; i++) {
        const char *name = options->targets[i];
        bool found = strcmp(name, "all-linear") == 0;
        for (int32_t n = 0; n < model->linear_count && !found; n++) {
            found = adapter_name_matches(model->linears[n].spec.path, name);
        }
        if (found) {
            continue;
        }
        if (strcmp(name, adapter_module(adapter, TENSOR_HEAD)) == 0) {
            return err_set(err,
                           "lora_target_modules: %s takes no low-rank term; train it whole with "
                           "lora_modules_to_save: %s",
                           name, name);
        }
        return refuse_target(model, name, err);
    }
    return 0;
}

int adapter_describe(struct adapter **out, struct model *model, const struct adapter_options *options, struct err *err)
{
    struct adapter *adapter;
    if (adapter_new(&adapter, model, err) != 0) {
        return -1;
    }
    adapter->rank = options->rank;
    adapter->alpha = options->alpha;
    adapter->dropout = options->dropout;
    adapter->rank_stabilized = options->rank_stabilized;
    adapter->seed = options->seed;
    adapter->save_score = options->score;
    int result = check_names(adapter, options, err);
    for (int32_t n = 0; n < model->linear_count && result == 0; n++) {
        const char *path = model->linears[n].spec.path;
        bool hit = false;
        for (size_t i = 0; i < options->target_count && !hit; i++) {
            hit = strcmp(options->targets[i], "all-linear") == 0 || adapter_name_matches(path, options->targets[i]);
        }
        if (hit) {
            result = adapter_add_target(adapter, n, options->rank, options->alpha, err);
        }
    }
    for (size_t i = 0; i < options->module_count && result == 0; i++) {
        result = save_module(adapter, options->modules_to_save[i], err);
    }
    adapter->tied = model->config.tied && adapter->save_embedding && !adapter->save_head;
    if (result == 0 && adapter->target_count == 0 && !adapter->save_embedding && !adapter->save_head) {
        result = err_set(
            err, "the adapter would be empty: set lora_target_modules (all-linear is usual) or lora_modules_to_save");
    }
    if (result != 0) {
        adapter_free(adapter);
        return -1;
    }
    *out = adapter;
    return 0;
}

/* ---- memory and values ---- */

struct adapter_loader {
    struct adapter *adapter;
    struct regions *regions;
    struct err *err;
};

/* PEFT's draw for A: nn.init.kaiming_uniform_(a=sqrt(5)) is uniform within 1 / sqrt(inputs). */
static void draw_a(float *values, const struct adapter *adapter, int32_t index, int32_t rank, int32_t inputs)
{
    double bound = 1.0 / sqrt((double)inputs);
    int64_t count = (int64_t)rank * inputs;
    for (int64_t i = 0; i < count; i++) {
        values[i] =
            (float)((2.0 * random_uniform(adapter->seed, RANDOM_INIT, (uint64_t)index, (uint64_t)i) - 1.0) * bound);
    }
}

/* The tensor of a file that a parameter begins as: the adapter's own, or the base's; NULL: it begins fresh. */
static const struct safetensor *first_tensor(const struct adapter *adapter, const struct parameter *parameter)
{
    const struct safetensor *own = adapter->source ? safetensors_find(adapter->source, parameter->name) : NULL;
    if (own) {
        assert(own->count == parameter_size(parameter)); /* adapter_open() has looked */
        return own;
    }
    assert(!adapter->source ||
           parameter->role == TENSOR_SCORE); /* an adapter of a language model may get a fresh score head */
    if (parameter->role == TENSOR_LINEAR) {
        return NULL;
    }
    if (parameter->role == TENSOR_SCORE) {
        return model_tensor(adapter->model, TENSOR_SCORE);
    }
    bool is_head = parameter->role == TENSOR_HEAD && !adapter->model->config.tied;
    const struct safetensor *tensor = model_tensor(adapter->model, is_head ? TENSOR_HEAD : TENSOR_EMBEDDING);
    assert(tensor);
    return tensor;
}

/* Uploads a fresh A, B (zero, as memory is) or score head. */
static int begin_fresh(struct adapter_loader *loader, const struct parameter *parameter, int32_t index)
{
    const struct adapter *adapter = loader->adapter;
    struct backend *backend = loader->regions->backend;
    bool is_score = parameter->role == TENSOR_SCORE;
    size_t count = (size_t)parameter_size(parameter);
    if (!is_score && index % 2 == 1) {
        return 0;
    }
    float *values = mem_alloc(count, sizeof *values, loader->err);
    if (!values) {
        return -1;
    }
    if (is_score) {
        score_head_draw(values, parameter->columns, adapter->seed);
    } else {
        draw_a(values, adapter, index, parameter->rows, parameter->columns);
    }
    backend->upload(backend, parameter->master, values, count * sizeof *values);
    mem_free(values);
    return 0;
}

/* Notes a parameter and uploads its first values. */
static int begin_parameter(struct adapter_loader *loader, int32_t index, const char *name, const struct parameter *like)
{
    struct adapter *adapter = loader->adapter;
    struct backend *backend = loader->regions->backend;
    struct parameter *parameter = &adapter->parameters.items[index];
    *parameter = *like;
    parameter->name = mem_copy_string(name, strlen(name), loader->err);
    if (!parameter->name) {
        return -1;
    }
    const struct safetensor *tensor = first_tensor(adapter, parameter);
    int result = tensor ? parameter_upload(backend, parameter->master, tensor, loader->err)
                        : begin_fresh(loader, parameter, index);
    if (result == 0 && parameter->weight) {
        backend->weight_update(backend, &(struct weight_update_args){parameter->weight, parameter->master});
    }
    return result;
}

/* Places the next tensor, of so many rows and columns: its index, and in the second pass what is known of it. */
static int32_t place_parameter(struct adapter_loader *loader, enum tensor_role role, int32_t rows, int32_t columns,
                               struct parameter *parameter)
{
    struct parameter_list *list = &loader->adapter->parameters;
    *parameter = (struct parameter){.role = role, .rows = rows, .columns = columns};
    parameter->offset = parameters_place(list, parameter_size(parameter));
    if (!loader->regions->counting) {
        parameter->master = list->masters + parameter->offset;
        parameter->gradient = list->gradients ? list->gradients + parameter->offset : NULL;
    }
    return list->count - 1;
}

/* Memory of one trained matrix, its prepared form and gradient; in the second pass its values too. */
static int load_parameter(struct adapter_loader *loader, enum tensor_role role, const char *name,
                          const struct weight_shape *shape, struct weight **weight, float **gradient)
{
    struct backend *backend = loader->regions->backend;
    struct parameter like;
    int32_t index = place_parameter(loader, role, shape->rows, shape->columns, &like);
    void *memory = regions_take(loader->regions, MEMORY_ADAPTERS, backend->weight_size(backend, shape));
    *gradient = like.gradient;
    if (loader->regions->counting) {
        return 0;
    }
    if (backend->weight_create(backend, weight, shape, memory, NULL, loader->err) != 0) {
        return -1;
    }
    like.weight = *weight;
    return begin_parameter(loader, index, name, &like);
}

static int load_score(struct adapter_loader *loader)
{
    struct adapter *adapter = loader->adapter;
    const struct safetensor *base = model_tensor(adapter->model, TENSOR_SCORE);
    char name[PEFT_NAME_MAX];
    struct parameter like;
    int32_t index = place_parameter(loader, TENSOR_SCORE, 1, adapter->model->config.hidden, &like);
    if (loader->regions->counting) {
        return 0;
    }
    double offset = adapter->source ? adapter->score_offset : base ? adapter->model->score_offset : 0;
    adapter->score = (struct score_head){.weight = like.master, .gradient = like.gradient, .offset = offset};
    peft_tensor_name(name, adapter_module(adapter, TENSOR_SCORE), "weight");
    return begin_parameter(loader, index, name, &like);
}

static int load_target(struct adapter_loader *loader, const struct adapter_target *target)
{
    struct adapter *adapter = loader->adapter;
    struct low_rank none = {0};
    struct low_rank *low_rank = loader->regions->counting ? &none : &adapter->overlay.linears[target->linear];
    const struct linear_spec *spec = &adapter->model->linears[target->linear].spec;
    unsigned uses = WEIGHT_FORWARD | (adapter->trainable ? WEIGHT_BACKWARD : 0u);
    char name[PEFT_NAME_MAX];
    low_rank->rank = target->rank;
    low_rank->scale = (float)adapter_scale(adapter, target);
    if (target->rank > adapter->overlay.max_rank) {
        adapter->overlay.max_rank = target->rank;
    }
    const struct weight_shape a = {target->rank, spec->inputs, DTYPE_F32, uses},
                              b = {spec->outputs, target->rank, DTYPE_F32, uses};
    peft_tensor_name(name, spec->path, "lora_A.weight");
    if (load_parameter(loader, TENSOR_LINEAR, name, &a, &low_rank->a, &low_rank->a_gradient) != 0) {
        return -1;
    }
    peft_tensor_name(name, spec->path, "lora_B.weight");
    return load_parameter(loader, TENSOR_LINEAR, name, &b, &low_rank->b, &low_rank->b_gradient);
}

/* Embedding or head, whole. */
static int load_replacement(struct adapter_loader *loader, enum tensor_role role, unsigned uses,
                            struct replacement *replacement)
{
    const struct adapter *adapter = loader->adapter;
    const struct model_config *config = &adapter->model->config;
    const struct weight_shape shape = {config->vocabulary, config->hidden, DTYPE_F32, uses};
    char name[PEFT_NAME_MAX];
    peft_tensor_name(name, adapter_module(adapter, role), "weight");
    return load_parameter(loader, role, name, &shape, &replacement->weight, &replacement->gradient);
}

static int load_tensors(struct adapter_loader *loader)
{
    struct adapter *adapter = loader->adapter;
    unsigned head_uses = WEIGHT_FORWARD | (adapter->trainable ? WEIGHT_BACKWARD : 0u);
    for (int32_t i = 0; i < adapter->target_count; i++) {
        if (load_target(loader, &adapter->targets[i]) != 0) {
            return -1;
        }
    }
    unsigned embedding_uses = WEIGHT_LOOKUP | (adapter->tied ? head_uses : 0u);
    if (adapter->save_embedding &&
        load_replacement(loader, TENSOR_EMBEDDING, embedding_uses, &adapter->overlay.embedding) != 0) {
        return -1;
    }
    if (adapter->save_head && load_replacement(loader, TENSOR_HEAD, head_uses, &adapter->overlay.head) != 0) {
        return -1;
    }
    if (adapter->tied) {
        adapter->overlay.head = adapter->overlay.embedding;
    }
    return adapter->save_score ? load_score(loader) : 0;
}

static int load_all(struct adapter_loader *loader)
{
    struct adapter *adapter = loader->adapter;
    parameters_begin(&adapter->parameters, loader->regions, MEMORY_ADAPTERS, adapter->trainable);
    if (load_tensors(loader) != 0) {
        return -1;
    }
    parameters_end(&adapter->parameters, loader->regions, MEMORY_ADAPTERS, adapter->trainable);
    return 0;
}

int adapter_plan(struct adapter *adapter, struct backend *backend, bool trainable, struct memory_plan *plan,
                 struct err *err)
{
    struct regions regions;
    adapter->trainable = trainable;
    regions_begin(&regions, backend);
    struct adapter_loader loader = {.adapter = adapter, .regions = &regions, .err = err};
    if (load_all(&loader) != 0) {
        return -1;
    }
    memory_plan_add(plan, &regions.plan);
    return 0;
}

int adapter_load(struct adapter *adapter, struct backend *backend, bool trainable, struct err *err)
{
    assert(!adapter->backend);
    adapter->trainable = trainable;
    regions_begin(&adapter->regions, backend);
    struct adapter_loader loader = {.adapter = adapter, .regions = &adapter->regions, .err = err};
    if (load_all(&loader) != 0 || regions_alloc(&adapter->regions, err) != 0) {
        return -1;
    }
    adapter->backend = backend;
    adapter->overlay.linears = mem_alloc((size_t)adapter->model->linear_count, sizeof *adapter->overlay.linears, err);
    adapter->parameters.items = mem_alloc((size_t)adapter->parameters.count, sizeof(struct parameter), err);
    if (!adapter->overlay.linears || !adapter->parameters.items || load_all(&loader) != 0 ||
        backend->synchronize(backend, err) != 0) {
        return -1;
    }
    adapter->overlay.dropout = (float)adapter->dropout;
    adapter->overlay.seed = adapter->seed;
    safetensors_close(adapter->source);
    adapter->source = NULL;
    return 0;
}

static void free_weight(struct adapter *adapter, struct weight *weight)
{
    if (weight) {
        adapter->backend->weight_free(adapter->backend, weight);
    }
}

void adapter_free(struct adapter *adapter)
{
    if (!adapter) {
        return;
    }
    for (int32_t i = 0; adapter->overlay.linears && i < adapter->target_count; i++) {
        const struct low_rank *low_rank = &adapter->overlay.linears[adapter->targets[i].linear];
        free_weight(adapter, low_rank->a);
        free_weight(adapter, low_rank->b);
    }
    if (!adapter->tied) {
        free_weight(adapter, adapter->overlay.head.weight);
    }
    free_weight(adapter, adapter->overlay.embedding.weight);
    for (int32_t i = 0; adapter->parameters.items && i < adapter->parameters.count; i++) {
        mem_free(adapter->parameters.items[i].name);
    }
    if (adapter->backend) {
        regions_free(&adapter->regions);
    }
    safetensors_close(adapter->source);
    mem_free(adapter->parameters.items);
    mem_free(adapter->overlay.linears);
    mem_free(adapter->targets);
    mem_free(adapter->folder);
    mem_free(adapter);
}

int32_t adapter_max_rank(const struct adapter *adapter)
{
    int32_t most = 0;
    for (int32_t i = 0; i < adapter->target_count; i++) {
        if (adapter->targets[i].rank > most) {
            most = adapter->targets[i].rank;
        }
    }
    return most;
}

int64_t adapter_parameter_count(const struct adapter *adapter)
{
    int64_t count = 0;
    for (int32_t i = 0; i < adapter->target_count; i++) {
        const struct linear_spec *spec = &adapter->model->linears[adapter->targets[i].linear].spec;
        count += (int64_t)adapter->targets[i].rank * (spec->outputs + spec->inputs);
    }
    int64_t table = (int64_t)adapter->model->config.vocabulary * adapter->model->config.hidden;
    int64_t score = adapter->save_score ? adapter->model->config.hidden : 0;
    return count + score + table * ((adapter->save_embedding ? 1 : 0) + (adapter->save_head ? 1 : 0));
}
