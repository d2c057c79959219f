/* SPDX-License-Identifier: BSD-3-Clause */
#include "questions.h"

#include <string.h>

#define ANSWER_SECONDS 30
#define REFUSE_SECONDS 5 /* the same after a no */
#define MOST_ASKERS 64   /* of one question */
#define MOST_QUESTIONS 8

struct asker {
    vwl_answered_fn answered;
    void *data;
    unsigned int ticket;
};

/* Open until it is answered; then it stays for a while, so as to refuse. */
struct question {
    struct vwl_questions *questions;
    unsigned int serial, timer;
    char *what, *detail;
    bool is_open;
    GArray *askers; /* struct asker */
};

struct vwl_questions {
    VwlBusMachine *skeleton;
    char *name;
    unsigned int last;
    GPtrArray *all; /* struct question */
};

/* ---- notifications ------------------------------------------------------ */

static char *notification_id(const struct question *question)
{
    return g_strdup_printf("ask-%s-%u", question->questions->name,
                           question->serial);
}

static void withdraw(const struct question *question)
{
    GApplication *app = g_application_get_default();
    char *id;

    if (app && g_application_get_is_registered(app)) {
        id = notification_id(question);
        g_application_withdraw_notification(app, id);
        g_free(id);
    }
}

static void add_button(GNotification *note, const struct question *question,
                       const char *label, gboolean allow)
{
    g_notification_add_button_with_target(note, label, "app.answer", "(sub)",
                                          question->questions->name,
                                          question->serial, allow);
}

static void notify(const struct question *question, const char *title)
{
    GApplication *app = g_application_get_default();
    GNotification *note;
    char *id;

    if (!app) {
        return;
    }
    note = g_notification_new(title);
    g_notification_set_body(note, question->detail);
    g_notification_set_priority(note, G_NOTIFICATION_PRIORITY_HIGH);
    add_button(note, question, "Allow", TRUE);
    add_button(note, question, "Deny", FALSE);
    id = notification_id(question);
    g_application_send_notification(app, id, note);
    g_free(id);
    g_object_unref(note);
}

/* ---- one question ------------------------------------------------------- */

static void question_free(gpointer data)
{
    struct question *question = data;

    g_clear_handle_id(&question->timer, g_source_remove);
    if (question->is_open) {
        withdraw(question);
    }
    g_array_unref(question->askers);
    g_free(question->detail);
    g_free(question->what);
    g_free(question);
}

static gboolean on_forget(gpointer data)
{
    struct question *question = data;

    question->timer = 0;
    g_ptr_array_remove(question->questions->all, question);
    return G_SOURCE_REMOVE;
}

/* Askers may ask anew from within. */
static void settle(struct question *question, bool allow)
{
    GArray *askers = g_array_ref(question->askers);

    g_clear_handle_id(&question->timer, g_source_remove);
    withdraw(question);
    question->is_open = false;
    if (allow) {
        g_ptr_array_remove(question->questions->all, question);
    } else {
        question->timer = g_timeout_add_seconds(REFUSE_SECONDS, on_forget,
                                                question);
    }
    for (guint i = 0; i < askers->len; i++) {
        struct asker asker = g_array_index(askers, struct asker, i);

        asker.answered(asker.data, asker.ticket, allow);
    }
    g_array_unref(askers);
}

static gboolean on_no_answer(gpointer data)
{
    struct question *question = data;

    question->timer = 0;
    settle(question, false);
    return G_SOURCE_REMOVE;
}

static struct question *find(struct vwl_questions *questions, const char *what,
                             const char *detail)
{
    for (guint i = 0; i < questions->all->len; i++) {
        struct question *question = questions->all->pdata[i];

        if (strcmp(question->what, what) == 0 &&
            strcmp(question->detail, detail) == 0) {
            return question;
        }
    }
    return NULL;
}

static struct question *open_question(struct vwl_questions *questions,
                                      const char *what, const char *title,
                                      const char *detail)
{
    struct question *question = g_new0(struct question, 1);

    question->questions = questions;
    question->serial = ++questions->last;
    question->what = g_strdup(what);
    question->detail = g_strdup(detail);
    question->is_open = true;
    question->askers = g_array_new(FALSE, FALSE, sizeof(struct asker));
    question->timer = g_timeout_add_seconds(ANSWER_SECONDS, on_no_answer,
                                            question);
    g_ptr_array_add(questions->all, question);
    notify(question, title);
    vwl_bus_machine_emit_asked(questions->skeleton, question->serial, what,
                               detail);
    return question;
}

void vwl_questions_ask(struct vwl_questions *questions, const char *what,
                       const char *title, const char *detail,
                       vwl_answered_fn answered, void *data,
                       unsigned int ticket)
{
    const struct asker asker = { answered, data, ticket };
    struct question *question = find(questions, what, detail);

    if (!question && questions->all->len < MOST_QUESTIONS) {
        question = open_question(questions, what, title, detail);
    }
    if (!question || !question->is_open ||
        question->askers->len >= MOST_ASKERS) {
        answered(data, ticket, false);
    } else {
        g_array_append_val(question->askers, asker);
    }
}

/* ---- all of them -------------------------------------------------------- */

/* ticket NULL: any. */
static void drop(struct vwl_questions *questions, vwl_answered_fn answered,
                 void *data, const unsigned int *ticket)
{
    for (guint i = questions->all->len; i-- > 0;) {
        struct question *question = questions->all->pdata[i];

        for (guint j = question->askers->len; j-- > 0;) {
            struct asker *asker = &g_array_index(question->askers, struct asker,
                                                 j);

            if (asker->answered == answered && asker->data == data &&
                (!ticket || asker->ticket == *ticket)) {
                g_array_remove_index(question->askers, j);
            }
        }
        if (question->is_open && question->askers->len == 0) {
            g_ptr_array_remove_index(questions->all, i);
        }
    }
}

void vwl_questions_drop(struct vwl_questions *questions,
                        vwl_answered_fn answered, void *data,
                        unsigned int ticket)
{
    drop(questions, answered, data, &ticket);
}

void vwl_questions_drop_all(struct vwl_questions *questions,
                            vwl_answered_fn answered, void *data)
{
    drop(questions, answered, data, NULL);
}

void vwl_questions_answer(struct vwl_questions *questions, unsigned int serial,
                          bool allow)
{
    for (guint i = 0; i < questions->all->len; i++) {
        struct question *question = questions->all->pdata[i];

        if (question->is_open && question->serial == serial) {
            settle(question, allow);
            return;
        }
    }
}

static gboolean on_answer(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                          guint serial, gboolean allow, gpointer data)
{
    vwl_questions_answer(data, serial, allow);
    vwl_bus_machine_complete_answer(skeleton, call);
    return TRUE;
}

struct vwl_questions *vwl_questions_create(VwlBusMachine *skeleton,
                                           const char *name)
{
    struct vwl_questions *questions = g_new0(struct vwl_questions, 1);

    questions->skeleton = skeleton;
    questions->name = g_strdup(name);
    questions->all = g_ptr_array_new_with_free_func(question_free);
    g_signal_connect(skeleton, "handle-answer", G_CALLBACK(on_answer),
                     questions);
    return questions;
}

void vwl_questions_destroy(struct vwl_questions *questions)
{
    g_signal_handlers_disconnect_by_data(questions->skeleton, questions);
    g_ptr_array_unref(questions->all);
    g_free(questions->name);
    g_free(questions);
}
