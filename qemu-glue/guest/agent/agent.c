/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gio.h>
#include <string.h>

#include "agent.h"
#include "channel/text.h"
#include "control.h"
#include "jobs.h"
#include "notices.h"
#include "programs.h"
#include "wire.h"

struct vwl_agent {
    struct vwl_wire *wire;
    struct vwl_jobs *jobs;
    struct vwl_programs *programs; /* NULL: jobs only, as the next two */
    struct vwl_notices *notices;
    struct vwl_control *control;
    char *host, *languages; /* of the host's HELLO */
    uint32_t may;
};

static void answer(void *opaque, uint16_t job, unsigned int status,
                   const char *text)
{
    struct vwl_agent *agent = opaque;
    g_autofree char *number = g_strdup_printf("%u", status);
    g_autofree char *plain = vwl_text(text, VWL_MAX_ANSWER_CHARS);

    if (vwl_wire_is_greeted(agent->wire)) {
        /* four bytes a character is more than a frame has */
        plain[MIN(strlen(plain), VWL_MAX_ANSWER_BYTES - 8)] = '\0';
        if (!vwl_frame_put(vwl_wire_out(agent->wire), VWL_SIDE_GUEST,
                           VWL_FRAME_ANSWER, job, number, plain, NULL)) {
            vwl_frame_put(vwl_wire_out(agent->wire), VWL_SIDE_GUEST,
                          VWL_FRAME_ANSWER, job, number, "", NULL);
        }
        vwl_wire_flush(agent->wire);
    }
}

/* ---- of the host -------------------------------------------------------- */

static void on_hello(struct vwl_agent *agent, const struct vwl_frame *frame)
{
    g_free(agent->host);
    g_free(agent->languages);
    agent->host = vwl_text(frame->strings[VWL_HELLO_SOFTWARE], 64);
    agent->languages = g_strdup(frame->strings[VWL_HELLO_LANGUAGES]);
    agent->may = vwl_frame_number(frame, VWL_HELLO_MAY);
    g_message("connected to %s", agent->host);
    if (agent->notices) {
        vwl_notices_allow(agent->notices, agent->may & VWL_MAY_NOTIFY);
    }
}

static void on_launch(struct vwl_agent *agent, const struct vwl_frame *frame)
{
    g_autofree char *text = NULL;
    unsigned int status = vwl_programs_launch(agent->programs,
                                              frame->strings[VWL_LAUNCH_ID],
                                              frame->strings[VWL_LAUNCH_TOKEN],
                                              &text);

    answer(agent, frame->job, status, text ? text : "");
}

/* What root's agent does not do. */
static void on_desktop_frame(struct vwl_agent *agent,
                             const struct vwl_frame *frame)
{
    if (!agent->programs) {
        if (frame->type == VWL_FRAME_LAUNCH) {
            answer(agent, frame->job, 126, "this agent only runs commands");
        }
        return;
    }
    switch (frame->type) {
    case VWL_FRAME_LIST:
        vwl_programs_list(agent->programs, agent->languages);
        break;
    case VWL_FRAME_LAUNCH:
        on_launch(agent, frame);
        break;
    case VWL_FRAME_CLOSE:
        vwl_notices_closed(agent->notices, vwl_frame_number(frame, 0));
        break;
    default:
        break;
    }
}

static void on_frame(void *opaque, struct vwl_frame *frame)
{
    struct vwl_agent *agent = opaque;

    switch (frame->type) {
    case VWL_FRAME_HELLO:
        on_hello(agent, frame);
        break;
    case VWL_FRAME_EXEC:
        vwl_jobs_exec(agent->jobs, frame);
        break;
    case VWL_FRAME_SIGNAL:
        vwl_jobs_signal(agent->jobs, frame->job,
                        (int)vwl_frame_number(frame, 0));
        break;
    case VWL_FRAME_RESIZE:
        vwl_jobs_resize(agent->jobs, frame->job,
                        (uint16_t)vwl_frame_number(frame, VWL_RESIZE_ROWS),
                        (uint16_t)vwl_frame_number(frame, VWL_RESIZE_COLUMNS));
        break;
    default:
        on_desktop_frame(agent, frame);
        break;
    }
}

static void on_down(void *opaque)
{
    struct vwl_agent *agent = opaque;

    vwl_jobs_hang_up(agent->jobs);
    if (agent->programs) {
        vwl_programs_stop(agent->programs);
    }
}

static void on_drained(void *opaque)
{
    struct vwl_agent *agent = opaque;

    if (agent->programs) {
        vwl_programs_go_on(agent->programs);
    }
}

static const struct vwl_wire_ops wire_ops = {
    .frame = on_frame,
    .down = on_down,
    .drained = on_drained,
};

/* ---- of this session ---------------------------------------------------- */

static char *open_link(struct vwl_agent *agent, const char *link)
{
    if (!vwl_wire_is_greeted(agent->wire)) {
        return g_strdup("no the host is not connected");
    }
    if (!(agent->may & VWL_MAY_OPEN)) {
        return g_strdup("no the host opens no links of this machine");
    }
    if (vwl_wire_is_full(agent->wire) ||
        !vwl_frame_put(vwl_wire_out(agent->wire), VWL_SIDE_GUEST,
                       VWL_FRAME_OPEN, 0, link, NULL)) {
        return g_strdup("no it is too long, or too much waits");
    }
    vwl_wire_flush(agent->wire);
    return g_strdup("ok");
}

static char *on_line(void *opaque, const char *line)
{
    struct vwl_agent *agent = opaque;

    if (g_str_has_prefix(line, "open ")) {
        return open_link(agent, line + 5);
    }
    if (g_str_equal(line, "status") && vwl_wire_is_greeted(agent->wire)) {
        return g_strdup_printf("ok connected to %s", agent->host);
    }
    return g_strdup(g_str_equal(line, "status") ? "no the host is not connected"
                                                : "no unknown command");
}

struct vwl_agent *vwl_agent_create(const char *socket, bool jobs_only,
                                   GError **error)
{
    struct vwl_agent *agent = g_new0(struct vwl_agent, 1);
    g_autofree char *path = vwl_control_path();

    if (!jobs_only) {
        agent->control = vwl_control_create(path, on_line, agent, error);
        if (!agent->control) {
            g_free(agent);
            return NULL;
        }
    }
    agent->wire = vwl_wire_create(socket, &wire_ops, agent);
    agent->jobs = vwl_jobs_create(answer, agent);
    if (!jobs_only) {
        agent->programs = vwl_programs_create(agent->wire);
        agent->notices = vwl_notices_create(agent->wire);
    }
    return agent;
}

void vwl_agent_destroy(struct vwl_agent *agent)
{
    if (!agent) {
        return;
    }
    vwl_control_destroy(agent->control);
    vwl_notices_destroy(agent->notices);
    vwl_programs_destroy(agent->programs);
    vwl_jobs_destroy(agent->jobs);
    vwl_wire_destroy(agent->wire);
    g_free(agent->host);
    g_free(agent->languages);
    g_free(agent);
}
