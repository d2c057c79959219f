/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <string.h>

#include "fail.h"

enum kind {
    TEXT,   /* char * */
    PATH,   /* char *: a file */
    SIZE,   /* unsigned int, MiB: 2G, 512M, 512 */
    COUNT,  /* unsigned int */
    CHOICE, /* unsigned int: the place of the word in `value` */
    WORD,   /* char *: one of `value` */
    FLAG,   /* bool: on|off */
};

struct place {
    enum kind kind;
    size_t offset;
};

#define MOST_MEMORY (1024 * 1024) /* MiB */
#define MOST_CPUS 255
#define WAYS "both|to-guest|from-guest|off|ask"

/* clang-format off */
static const struct vwl_setting settings[] = {
    { "disk", VWL_SETTING_MACHINE, false, "FILE", "",
      "The image of its disk" },
    { "format", VWL_SETTING_MACHINE, false, "raw|qcow2", "raw",
      "What the image is" },
    { "kernel", VWL_SETTING_MACHINE, false, "FILE", "the disk's",
      "Boot this Linux instead of what the disk boots" },
    { "initrd", VWL_SETTING_MACHINE, false, "FILE", "",
      "The first file system of that kernel" },
    { "append", VWL_SETTING_MACHINE, false, "TEXT", "",
      "The command line of that kernel" },
    { "system", VWL_SETTING_MACHINE, false, "TEXT", "",
      "What is in it, for people" },
    { "user", VWL_SETTING_MACHINE, false, "NAME", "",
      "The guest's user whose programs they are" },
    { "memory", VWL_SETTING_MACHINE, false, "N[M|G]",
      "half of the host's, at most 4G", "Memory of the guest: 2G, 512M" },
    { "cpus", VWL_SETTING_MACHINE, false, "1-255", "the host's, at most 4",
      "Processors of the guest" },
    { "accel", VWL_SETTING_MACHINE, false, "auto|kvm|tcg", "auto",
      "How it is run: by the processor (kvm) or by software (tcg)" },
    { "net", VWL_SETTING_MACHINE, false, "user|none", "user",
      "A network of its own behind the host's, or none" },
    { "sound", VWL_SETTING_MACHINE, false, "on|record|off", "on",
      "Whether the guest plays sound, and hears the microphone" },
    { "share", VWL_SETTING_MACHINE, false, "FOLDER", "none",
      "A folder of the host that the guest has, too: /media/host" },
    { "display", VWL_SETTING_MACHINE, false, "SOCKET", "the desktop's",
      "The compositor that shows the windows" },
    { "qemu", VWL_SETTING_MACHINE, false, "PROGRAM", "qemu-system-x86_64",
      "Another QEMU" },
    { "glue", VWL_SETTING_MACHINE, false, "FILE", "the one for that QEMU",
      "The device for that QEMU" },
    { "daemon", VWL_SETTING_MACHINE, false, "PROGRAM", "vhost-user-wl",
      "Another daemon" },
    { "clipboard", VWL_SETTING_POLICY, true, WAYS, "both",
      "Which way the clipboard goes" },
    { "primary", VWL_SETTING_POLICY, true, WAYS, "both",
      "The same of the middle button's" },
    { "drag", VWL_SETTING_POLICY, true, WAYS, "both",
      "The same of what is dragged and dropped" },
    { "allow", VWL_SETTING_POLICY, false, "INTERFACE,...", "",
      "Wayland interfaces that guests have not by default" },
    { "deny", VWL_SETTING_POLICY, false, "INTERFACE,...", "",
      "Wayland interfaces that this guest may not use" },
    { "links", VWL_SETTING_POLICY, true, "ask|allow|deny", "ask",
      "Whether links of the guest open in the host's browser" },
    { "notifications", VWL_SETTING_POLICY, true, "on|off", "on",
      "Whether the guest's notifications are shown" },
    { "apps", VWL_SETTING_POLICY, true, "on|off", "on",
      "Whether its programs are in the host's launcher" },
    { NULL },
};

#define AT(field) offsetof(struct vwl_machine, field)

/* In the order of the table above. */
static const struct place places[] = {
    { PATH, AT(disk) }, { WORD, AT(format) }, { PATH, AT(kernel) },
    { PATH, AT(initrd) }, { TEXT, AT(append) }, { TEXT, AT(system) },
    { TEXT, AT(user) }, { SIZE, AT(memory) }, { COUNT, AT(cpus) },
    { CHOICE, AT(accel) }, { CHOICE, AT(net) }, { CHOICE, AT(sound) },
    { PATH, AT(share) }, { PATH, AT(display) }, { PATH, AT(qemu) },
    { PATH, AT(glue) }, { PATH, AT(daemon) }, { WORD, AT(clipboard) },
    { WORD, AT(primary) }, { WORD, AT(drag) }, { TEXT, AT(allow) },
    { TEXT, AT(deny) }, { CHOICE, AT(links) }, { FLAG, AT(notifications) },
    { FLAG, AT(apps) },
};
/* clang-format on */

G_STATIC_ASSERT(G_N_ELEMENTS(places) + 1 == G_N_ELEMENTS(settings));

static const char *const groups[] = { "machine", "policy" };

const struct vwl_setting *vwl_settings(void)
{
    return settings;
}

/* ---- names -------------------------------------------------------------- */

/* How many letters have to be changed, put in or left out, as far as that is
 * worth knowing. */
static unsigned int distance(const char *a, const char *b)
{
    unsigned int row[32], n = (unsigned int)strlen(b);

    if (n + 1 > G_N_ELEMENTS(row)) {
        return G_MAXUINT;
    }
    for (unsigned int j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (unsigned int i = 0; a[i]; i++) {
        unsigned int diagonal = row[0];

        row[0] = i + 1;
        for (unsigned int j = 1; j <= n; j++) {
            unsigned int cost = diagonal + (a[i] != b[j - 1]);

            diagonal = row[j];
            row[j] = MIN(MIN(row[j], row[j - 1]) + 1, cost);
        }
    }
    return row[n];
}

const struct vwl_setting *vwl_setting_find(const char *name, GError **error)
{
    const struct vwl_setting *nearest = &settings[0];

    for (const struct vwl_setting *s = settings; s->name; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
        if (distance(name, s->name) < distance(name, nearest->name)) {
            nearest = s;
        }
    }
    vwl_fail(error, VWL_FAIL_USAGE,
             "there is no setting '%s'; did you mean %s?", name, nearest->name);
    return NULL;
}

/* ---- values ------------------------------------------------------------- */

static bool refuse(const struct vwl_setting *setting, const char *text,
                   GError **error)
{
    return vwl_fail(error, VWL_FAIL_USAGE,
                    "%s=%s is not possible; it must be %s", setting->name, text,
                    setting->value);
}

static bool find_word(const struct vwl_setting *setting, const char *text,
                      unsigned int *at)
{
    char **words = g_strsplit(setting->value, "|", -1);
    bool found = false;

    for (unsigned int i = 0; words[i] && !found; i++) {
        found = strcmp(words[i], text) == 0;
        *at = i;
    }
    g_strfreev(words);
    return found;
}

static bool read_size(const char *text, unsigned int *mib)
{
    char *digits = g_strdup(text), *end = NULL;
    size_t length = strlen(digits);
    guint64 value, unit = 1;
    bool ok;

    end = length > 0 ? &digits[length - 1] : digits;
    if (*end == 'G' || *end == 'M') {
        unit = *end == 'G' ? 1024 : 1;
        *end = '\0';
    }
    ok = g_ascii_string_to_unsigned(digits, 10, 1, MOST_MEMORY, &value, NULL) &&
         value * unit <= MOST_MEMORY;
    g_free(digits);
    if (ok) {
        *mib = (unsigned int)(value * unit);
    }
    return ok;
}

/* One line of text: it goes into a file and onto command lines. */
static bool is_plain(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL)) {
        return false;
    }
    for (; *text; text++) {
        if (g_ascii_iscntrl(*text)) {
            return false;
        }
    }
    return true;
}

static void set_text(void *to, const char *text)
{
    g_free(*(char **)to);
    *(char **)to = text[0] ? g_strdup(text) : NULL;
}

static void set_default(enum kind kind, const struct vwl_setting *setting,
                        void *to)
{
    switch (kind) {
    case TEXT:
    case PATH:
    case WORD:
        set_text(to, "");
        break;
    case FLAG:
        *(bool *)to = strcmp(setting->initial, "on") == 0;
        break;
    default:
        *(unsigned int *)to = 0;
    }
}

static bool set_value(enum kind kind, const struct vwl_setting *setting,
                      void *to, const char *text, GError **error)
{
    unsigned int number = 0;
    guint64 count;

    switch (kind) {
    case TEXT:
    case PATH:
        if (!is_plain(text)) {
            return refuse(setting, "(several lines, or not UTF-8)", error);
        }
        set_text(to, text);
        return true;
    case WORD:
    case CHOICE:
    case FLAG:
        if (!find_word(setting, text, &number)) {
            return refuse(setting, text, error);
        }
        break;
    case SIZE:
        if (!read_size(text, &number)) {
            return refuse(setting, text, error);
        }
        break;
    case COUNT:
        if (!g_ascii_string_to_unsigned(text, 10, 1, MOST_CPUS, &count, NULL)) {
            return refuse(setting, text, error);
        }
        number = (unsigned int)count;
    }
    if (kind == WORD) {
        set_text(to, text);
    } else if (kind == FLAG) {
        *(bool *)to = number == 0;
    } else {
        *(unsigned int *)to = number;
    }
    return true;
}

bool vwl_machine_set(struct vwl_machine *machine, const char *name,
                     const char *text, GError **error)
{
    const struct vwl_setting *setting = vwl_setting_find(name, error);
    const struct place *place;
    void *to;

    if (!setting) {
        return false;
    }
    place = &places[setting - settings];
    to = (char *)machine + place->offset;
    if (!text[0]) {
        set_default(place->kind, setting, to);
        return true;
    }
    return set_value(place->kind, setting, to, text, error);
}

char *vwl_machine_get(const struct vwl_machine *machine, const char *name)
{
    const struct vwl_setting *setting = vwl_setting_find(name, NULL);
    const struct place *place;
    const void *at;
    unsigned int number;
    char **words, *word;

    g_return_val_if_fail(setting, g_strdup(""));
    place = &places[setting - settings];
    at = (const char *)machine + place->offset;
    switch (place->kind) {
    case TEXT:
    case PATH:
    case WORD:
        return g_strdup(*(char *const *)at ? *(char *const *)at : "");
    case FLAG:
        return g_strdup(*(const bool *)at ? "on" : "off");
    case SIZE:
    case COUNT:
        number = *(const unsigned int *)at;
        return number == 0 ? g_strdup("")
                           : g_strdup_printf("%u%s", number,
                                             place->kind == SIZE ? "M" : "");
    case CHOICE:
        words = g_strsplit(setting->value, "|", -1);
        word = g_strdup(words[*(const unsigned int *)at]);
        g_strfreev(words);
        return word;
    }
    return NULL;
}

/* ---- machines ----------------------------------------------------------- */

struct vwl_machine *vwl_machine_new(const char *name, const char *folder)
{
    struct vwl_machine *machine = g_new0(struct vwl_machine, 1);

    machine->name = g_strdup(name);
    machine->folder = g_strdup(folder);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        set_default(places[i].kind, &settings[i],
                    (char *)machine + places[i].offset);
    }
    return machine;
}

void vwl_machine_free(struct vwl_machine *machine)
{
    if (!machine) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        if (places[i].kind == TEXT || places[i].kind == PATH ||
            places[i].kind == WORD) {
            g_free(*(char **)((char *)machine + places[i].offset));
        }
    }
    g_free(machine->name);
    g_free(machine->folder);
    g_free(machine);
}

char *vwl_machine_path(const struct vwl_machine *machine, const char *path)
{
    return path ? g_canonicalize_filename(path, machine->folder) : NULL;
}

static bool load_key(struct vwl_machine *machine, GKeyFile *file,
                     const char *group, const char *key, GError **error)
{
    const struct vwl_setting *setting = vwl_setting_find(key, error);
    char *text;
    bool ok;

    if (!setting) {
        return false;
    }
    if (strcmp(group, groups[setting->group]) != 0) {
        return vwl_fail(error, VWL_FAIL_USAGE,
                        "%s stands in [%s]; put it into [%s]", key, group,
                        groups[setting->group]);
    }
    text = g_key_file_get_string(file, group, key, error);
    ok = text && vwl_machine_set(machine, key, text, error);
    g_free(text);
    return ok;
}

static bool load_all(struct vwl_machine *machine, GKeyFile *file,
                     GError **error)
{
    char **sections = g_key_file_get_groups(file, NULL);
    bool ok = true;

    for (size_t i = 0; ok && sections[i]; i++) {
        char **keys = g_key_file_get_keys(file, sections[i], NULL, NULL);

        for (size_t j = 0; ok && keys && keys[j]; j++) {
            ok = load_key(machine, file, sections[i], keys[j], error);
        }
        g_strfreev(keys);
    }
    g_strfreev(sections);
    return ok;
}

struct vwl_machine *vwl_machine_load(const char *folder, GError **error)
{
    char *name = g_path_get_basename(folder);
    char *path = g_build_filename(folder, "machine.conf", NULL);
    struct vwl_machine *machine = vwl_machine_new(name, folder);
    GKeyFile *file = g_key_file_new();

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error) ||
        !load_all(machine, file, error)) {
        g_prefix_error(error, "%s: ", path);
        vwl_machine_free(machine);
        machine = NULL;
    }
    g_key_file_free(file);
    g_free(path);
    g_free(name);
    return machine;
}

bool vwl_machine_save(const struct vwl_machine *machine, GError **error)
{
    char *path = g_build_filename(machine->folder, "machine.conf", NULL);
    GKeyFile *file = g_key_file_new();
    struct vwl_machine *fresh = vwl_machine_new("", "");
    bool ok;

    for (const struct vwl_setting *s = settings; s->name; s++) {
        char *text = vwl_machine_get(machine, s->name);
        char *initial = vwl_machine_get(fresh, s->name);

        if (strcmp(text, initial) != 0) {
            g_key_file_set_string(file, groups[s->group], s->name, text);
        }
        g_free(initial);
        g_free(text);
    }
    ok = g_key_file_save_to_file(file, path, error);
    vwl_machine_free(fresh);
    g_key_file_free(file);
    g_free(path);
    return ok;
}
