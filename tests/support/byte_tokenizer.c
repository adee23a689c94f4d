#include "support/byte_tokenizer.h"

/* GPT-2's characters for bytes: printable ones stand for themselves, the others for U+0100 and on. */
static void put_vocabulary(struct strbuf *json)
{
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        struct strbuf character = {0};
        strbuf_put_utf8(&character, printable ? byte : next++);
        strbuf_putc(json, byte > 0 ? ',' : '{');
        strbuf_put_json(json, character.data, character.length);
        strbuf_printf(json, ":%u", byte);
        strbuf_free(&character);
    }
    strbuf_putc(json, '}');
}

static void put_special_tokens(struct strbuf *json)
{
    static const char *const special[] = {"<|im_start|>", "<|im_end|>", "<s>"};
    for (int i = 0; i < 3; i++) {
        strbuf_printf(json,
                      "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                      "\"normalized\":false,\"special\":true}",
                      i > 0 ? "," : "", BYTE_IM_START + i, special[i]);
    }
}

void byte_tokenizer_json(struct strbuf *out, bool bos)
{
    strbuf_puts(out, "{\"version\":\"1.0\",\"added_tokens\":[");
    put_special_tokens(out);
    strbuf_puts(out, "],\"normalizer\":null,"
                     "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
                     "\"use_regex\":true},"
                     "\"decoder\":{\"type\":\"ByteLevel\"},"
                     "\"post_processor\":");
    if (bos) {
        strbuf_puts(
            out, "{\"type\":\"TemplateProcessing\","
                 "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
                 "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                 "\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],"
                 "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[258],\"tokens\":[\"<s>\"]}}}");
    } else {
        strbuf_puts(out, "null");
    }
    strbuf_puts(out, ",\"model\":{\"type\":\"BPE\",\"vocab\":");
    put_vocabulary(out);
    strbuf_puts(out, ",\"merges\":[]}}");
}
