/* ppo/roles.c - see roles.h. */
#include "ppo/roles.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include "ppo/recipe.h"
#include <assert.h>
#include <string.h>

#define TOKENIZER_FILE_MAX ((size_t)256 << 20)

static bool is_full(const struct recipe *recipe)
{
    return recipe->finetuning_type == RECIPE_FULL;
}

static int open_policy(struct ppo_roles *roles, const struct recipe *recipe, struct err *err)
{
    struct model *base = NULL;
    if (models_open(&roles->models, recipe->model_name_or_path, MODELS_VOCABULARY, !is_full(recipe), &base, err) != 0) {
        return -1;
    }
    roles->reference_model = base;
    struct trainable_role policy = {
        .model = is_full(recipe) ? NULL : base,
        .model_folder = recipe->model_name_or_path,
        .adapter_folder = recipe->adapter_name_or_path,
        .seed = (uint64_t)recipe->seed,
    };
    if (base->is_scorer) {
        return err_set(err, "model_name_or_path: %s is a reward model, which writes no text; give it as reward_model",
                       recipe->model_name_or_path);
    }
    if (trainable_open_role(&roles->policy, recipe, &policy, err) != 0) {
        return -1;
    }
    return recipe->adapter_name_or_path
               ? adapter_open(&roles->reference_adapter, base, recipe->adapter_name_or_path, err)
               : 0;
}

/* ---- the critic ---- */

int ppo_same_tokenizer(const char *one, const char *other, bool *same, struct err *err)
{
    const char *folders[] = {one, other};
    struct strbuf texts[2] = {{0}};
    int result = 0;
    *same = strcmp(one, other) == 0;
    for (int i = 0; result == 0 && !*same && i < 2; i++) {
        char *path = file_join(folders[i], "tokenizer.json", err);
        result = path ? file_read(&texts[i], path, TOKENIZER_FILE_MAX, err) : -1;
        mem_free(path);
    }
    if (result == 0 && !*same) {
        *same = texts[0].length == texts[1].length && memcmp(texts[0].data, texts[1].data, texts[0].length) == 0;
    }
    strbuf_free(&texts[0]);
    strbuf_free(&texts[1]);
    return result;
}

bool ppo_same_shape(const struct model_config *a, const struct model_config *b)
{
    return model_config_same_shape(a, b) && a->vocabulary == b->vocabulary;
}

/* Why the critic cannot begin as the reward model; NULL in *obstacle: it can. */
static int find_obstacle(const struct ppo_roles *roles, const struct recipe *recipe, const char **obstacle,
                         struct err *err)
{
    const struct scorer *reward = &roles->reward;
    const struct model *base = roles->reference_model;
    bool same = true;
    *obstacle = NULL;
    if (!roles->has_reward) {
        *obstacle = "there is none";
        return 0;
    }
    if (ppo_same_tokenizer(base->folder, reward->model->folder, &same, err) != 0) {
        return -1;
    }
    if (!same) {
        *obstacle = "it has another tokenizer";
    } else if (!ppo_same_shape(&base->config, &reward->model->config)) {
        *obstacle = "it has another shape";
    } else if (is_full(recipe) && reward->adapter) {
        *obstacle = "it is an adapter (attune export --merge makes a model of it)";
    }
    return 0;
}

static int open_critic(struct ppo_roles *roles, const struct recipe *recipe, struct err *err)
{
    const char *obstacle;
    if (find_obstacle(roles, recipe, &obstacle, err) != 0) {
        return -1;
    }
    if (obstacle && ppo_keys(recipe)->critic_init == PPO_CRITIC_REWARD) {
        return err_set(err, "critic_init: the critic cannot begin as the reward model: %s; write fresh", obstacle);
    }
    roles->critic_is_fresh = obstacle || ppo_keys(recipe)->critic_init == PPO_CRITIC_FRESH;
    const struct scorer *reward = &roles->reward;
    /* Another seed than the policy's, or their fresh adapters would begin alike. */
    struct trainable_role critic = {.scorer = true, .seed = random_u64((uint64_t)recipe->seed, RANDOM_MIX, 2, 0)};
    if (roles->critic_is_fresh) {
        critic.model = is_full(recipe) ? NULL : roles->reference_model;
        critic.model_folder = recipe->model_name_or_path;
    } else {
        critic.model = is_full(recipe) ? NULL : reward->model;
        critic.model_folder = reward->model->folder;
        critic.adapter_folder = reward->adapter ? reward->adapter->folder : NULL;
    }
    if (trainable_open_role(&roles->critic, recipe, &critic, err) != 0) {
        return err_prefix(err, "critic");
    }
    roles->has_critic = true;
    log_info("critic: begins as %s%s", roles->critic_is_fresh ? "the base with a fresh head" : "the reward model ",
             roles->critic_is_fresh ? "" : ppo_keys(recipe)->reward_model);
    return 0;
}

/* Gradients go through the base of an adapter that is trained on it. */
static int mark_critic_base(struct ppo_roles *roles, const struct recipe *recipe, struct err *err)
{
    struct model *base;
    if (is_full(recipe) || roles->critic_is_fresh) {
        return 0;
    }
    const struct scorer *reward = &roles->reward;
    return models_open(&roles->models, reward->model->folder, reward->adapter ? MODELS_NO_HEAD : MODELS_SCORE, true,
                       &base, err);
}

static int open_all(struct ppo_roles *roles, const struct recipe *recipe, struct err *err)
{
    if (open_policy(roles, recipe, err) != 0) {
        return -1;
    }
    if (ppo_keys(recipe)->reward_model) {
        struct scorer_options options = {.folder = ppo_keys(recipe)->reward_model};
        if (scorer_open(&roles->reward, &options, &roles->models, err) != 0) {
            return err_prefix(err, "reward_model");
        }
        roles->has_reward = true;
    }
    if (ppo_keys(recipe)->advantage_estimator != PPO_ADVANTAGE_GAE) {
        return 0;
    }
    return open_critic(roles, recipe, err) == 0 ? mark_critic_base(roles, recipe, err) : -1;
}

/* Keys that describe a fresh adapter, where there is none. */
static int check_adapter_keys(const struct ppo_roles *roles, const struct recipe *recipe, struct err *err)
{
    static const char *const keys[] = {"lora_r", "lora_alpha", "lora_target_modules", "lora_modules_to_save",
                                       "use_rslora"};
    bool fresh_critic = roles->has_critic && (roles->critic_is_fresh || !roles->reward.adapter);
    for (size_t i = 0; recipe->adapter_name_or_path && !fresh_critic && i < sizeof keys / sizeof *keys; i++) {
        if (recipe_is_set(recipe, keys[i])) {
            return err_set(err,
                           "%s says what a fresh adapter is like, but the policy goes on from %s%s; what they are "
                           "like holds, so leave the key out",
                           keys[i], recipe->adapter_name_or_path,
                           roles->has_critic ? " and the critic from the reward model" : "");
        }
    }
    return 0;
}

int ppo_roles_open(struct ppo_roles *roles, const struct recipe *recipe, struct err *err)
{
    *roles = (struct ppo_roles){0};
    if (open_all(roles, recipe, err) == 0 && check_adapter_keys(roles, recipe, err) == 0) {
        return 0;
    }
    ppo_roles_close(roles);
    return -1;
}

int ppo_roles_plan(struct ppo_roles *roles, struct backend *backend, struct memory_plan *plan, struct err *err)
{
    if (models_plan(&roles->models, backend, plan, err) != 0 ||
        trainable_plan(&roles->policy, backend, plan, err) != 0) {
        return -1;
    }
    if (roles->reference_adapter && adapter_plan(roles->reference_adapter, backend, false, plan, err) != 0) {
        return -1;
    }
    if (roles->has_critic && trainable_plan(&roles->critic, backend, plan, err) != 0) {
        return -1;
    }
    return roles->has_reward ? scorer_plan(&roles->reward, backend, plan, err) : 0;
}

/* An adapter may have been trained with dropout; here old and new probabilities of one policy would differ by it. */
static void drop_nothing(struct trainable *trainable)
{
    if (trainable->adapter) {
        trainable->adapter->overlay.dropout = 0;
    }
}

int ppo_roles_load(struct ppo_roles *roles, struct backend *backend, struct err *err)
{
    if (models_load(&roles->models, backend, err) != 0 || trainable_load(&roles->policy, backend, err) != 0) {
        return -1;
    }
    if (roles->reference_adapter && adapter_load(roles->reference_adapter, backend, false, err) != 0) {
        return -1;
    }
    drop_nothing(&roles->policy);
    if (roles->has_critic && trainable_load(&roles->critic, backend, err) != 0) {
        return -1;
    }
    drop_nothing(&roles->critic);
    /* A critic that knows nothing expects 0: a random head's values would drown the returns in noise. */
    if (roles->has_critic && roles->critic_is_fresh && trainable_scale_score(&roles->critic, 0, 0, err) != 0) {
        return -1;
    }
    return roles->has_reward ? scorer_load(&roles->reward, backend, err) : 0;
}

void ppo_roles_close(struct ppo_roles *roles)
{
    if (roles->has_critic) {
        trainable_close(&roles->critic);
    }
    if (roles->has_reward) {
        scorer_close(&roles->reward);
    }
    adapter_free(roles->reference_adapter);
    if (roles->policy.model) {
        trainable_close(&roles->policy);
    }
    models_close(&roles->models);
    *roles = (struct ppo_roles){0};
}

static void add_role(struct run_identity *identity, const char *key, const char *folder, struct hash hash)
{
    assert(identity->role_count < RUN_ROLES_MAX);
    struct run_role *role = &identity->roles[identity->role_count++];
    *role = (struct run_role){.key = key, .folder = folder};
    hash_text(role->hash, hash);
}

int ppo_roles_identify(const struct ppo_roles *roles, struct run_identity *identity, struct err *err)
{
    struct hash hash;
    hash_text(identity->base, model_fingerprint(roles->reference_model));
    if (roles->reference_adapter) {
        if (adapter_fingerprint(roles->reference_adapter, &hash, err) != 0) {
            return -1;
        }
        add_role(identity, "adapter_name_or_path", roles->reference_adapter->folder, hash);
    }
    if (roles->has_reward) {
        if (scorer_fingerprint(&roles->reward, &hash, err) != 0) {
            return -1;
        }
        add_role(identity, "reward_model", roles->reward.folder, hash);
    }
    return 0;
}

int32_t ppo_roles_max_rank(const struct ppo_roles *roles)
{
    int32_t most = trainable_max_rank(&roles->policy);
    int32_t critic = roles->has_critic ? trainable_max_rank(&roles->critic) : 0;
    int32_t reward = roles->has_reward ? scorer_max_rank(&roles->reward) : 0;
    return max(max(most, critic), reward);
}

const struct overlay *ppo_roles_reference_overlay(const struct ppo_roles *roles)
{
    return roles->reference_adapter ? &roles->reference_adapter->overlay : NULL;
}
