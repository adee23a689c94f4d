/*
 * The built-in chat templates. Each writes the format its models were trained on; what a format has no place for (a
 * system message of gemma and mistral) goes in front of the first user's message. Where the format spells roles out,
 * any role may come; elsewhere a role it has no form for is refused, and so are tool calls everywhere.
 */
#include "base/suggest.h"
#include "text/chat_template/internal.h"
#include <string.h>

/* text(message): its content, a string or a list of parts of which those of text count. */
#define TEXT_MACRO                                                                                                     \
    "{%- macro text(message) -%}\n"                                                                                    \
    "    {%- if message.tool_calls -%}\n"                                                                              \
    "        {{- raise_exception('this template has no form for tool calls') -}}\n"                                    \
    "    {%- elif message.content is string -%}\n"                                                                     \
    "        {{- message.content -}}\n"                                                                                \
    "    {%- elif message.content -%}\n"                                                                               \
    "        {{- message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join -}}\n"         \
    "    {%- endif -%}\n"                                                                                              \
    "{%- endmacro -%}\n"

/* system: the text of a first system message, for formats that put it before the first user's; turns: the others. */
#define SYSTEM_FIRST                                                                                                   \
    "{%- set system = '' -%}\n"                                                                                        \
    "{%- set turns = messages -%}\n"                                                                                   \
    "{%- if messages and messages[0].role == 'system' -%}\n"                                                           \
    "    {%- set system = text(messages[0]) | trim + '\\n\\n' -%}\n"                                                   \
    "    {%- set turns = messages[1:] -%}\n"                                                                           \
    "{%- endif -%}\n"

#define REFUSE_ROLE "{{- raise_exception('the role ' ~ message.role ~ ' is not known to this template') -}}\n"

static const char alpaca[] =
    TEXT_MACRO "{{- bos_token -}}\n"
               "{%- for message in messages -%}\n"
               "    {%- if message.role == 'system' -%}\n"
               "        {{- text(message) | trim -}}\n"
               "    {%- elif message.role == 'user' -%}\n"
               "        {{- '### Instruction:\\n' + text(message) | trim -}}\n"
               "    {%- elif message.role == 'tool' -%}\n"
               "        {{- '### Input:\\n' + text(message) | trim -}}\n"
               "    {%- elif message.role == 'assistant' -%}\n"
               "        {{- '### Response:\\n' + text(message) | trim + (eos_token or '') -}}\n"
               "    {%- else -%}\n"
               "        " REFUSE_ROLE "    {%- endif -%}\n"
               "    {%- if not loop.last -%}{{- '\\n\\n' -}}{%- endif -%}\n"
               "{%- endfor -%}\n"
               "{%- if add_generation_prompt -%}{{- '\\n\\n### Response:\\n' -}}{%- endif -%}\n";

static const char chatml[] =
    TEXT_MACRO "{%- for message in messages -%}\n"
               "    {{- '<|im_start|>' + message.role + '\\n' + text(message) + '<|im_end|>\\n' -}}\n"
               "{%- endfor -%}\n"
               "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}\n";

static const char gemma[] = TEXT_MACRO SYSTEM_FIRST
    "{{- bos_token -}}\n"
    "{%- for message in turns -%}\n"
    "    {%- if message.role not in ('user', 'assistant', 'tool') -%}\n"
    "        " REFUSE_ROLE "    {%- endif -%}\n"
    "    {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' -}}\n"
    "    {{- system if loop.first else '' -}}\n"
    "    {{- text(message) | trim + '<end_of_turn>\\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}\n";

static const char llama3[] = TEXT_MACRO
    "{{- bos_token -}}\n"
    "{%- for message in messages -%}\n"
    "    {%- set role = 'ipython' if message.role == 'tool' else message.role -%}\n"
    "    {{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' + text(message) | trim + '<|eot_id|>' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}\n"
    "{%- endif -%}\n";

static const char mistral[] = TEXT_MACRO SYSTEM_FIRST
    "{{- bos_token -}}\n"
    "{%- for message in turns -%}\n"
    "    {%- if message.role == 'user' or message.role == 'tool' -%}\n"
    "        {{- '[INST] ' + (system if loop.first else '') + text(message) | trim + ' [/INST]' -}}\n"
    "    {%- elif message.role == 'assistant' -%}\n"
    "        {{- ' ' + text(message) | trim + (eos_token or '') -}}\n"
    "    {%- else -%}\n"
    "        " REFUSE_ROLE "    {%- endif -%}\n"
    "{%- endfor -%}\n";

static const char phi3[] = TEXT_MACRO "{%- for message in messages -%}\n"
                                      "    {{- '<|' + message.role + '|>\\n' + text(message) + '<|end|>\\n' -}}\n"
                                      "{%- endfor -%}\n"
                                      "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}\n";

/* Contents with blank lines between. An answer ends with eos_token, so that a model learns to end it. */
static const char plain[] =
    TEXT_MACRO "{{- bos_token -}}\n"
               "{%- for message in messages -%}\n"
               "    {{- text(message) | trim -}}\n"
               "    {%- if message.role == 'assistant' -%}{{- eos_token -}}{%- endif -%}\n"
               "    {%- if not loop.last or add_generation_prompt -%}{{- '\\n\\n' -}}{%- endif -%}\n"
               "{%- endfor -%}\n";

static const char *const names[] = {"alpaca", "chatml", "gemma", "llama3", "mistral", "phi3", "plain", NULL};
static const char *const sources[] = {alpaca, chatml, gemma, llama3, mistral, phi3, plain};

const char *chat_template_builtin_source(const char *name)
{
    for (size_t i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            return sources[i];
        }
    }
    return NULL;
}

int chat_template_unknown(const char *name, struct err *err)
{
    const char *nearest = suggest_nearest(name, names, sizeof names / sizeof *names - 1);
    return err_set(
        err,
        "there is no chat template '%s'%s%s%s; built in are alpaca, chatml, gemma, llama3, mistral, phi3 and "
        "plain, or give the path of a Jinja file",
        name, nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}
