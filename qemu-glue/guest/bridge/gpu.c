/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's answer may take seconds: who gives it the buffer's number may
 * hang. So a thread asks, and of the programs only those wait whose hosts offer
 * what depends on the answer.
 */
#include "gpu.h"

/* Before it is asked again when there was no answer. */
#define PAUSE_US (2 * G_USEC_PER_SEC)

struct vwl_gpu_question {
    struct vwl_bridge *bridge;
    struct vwl_transport_gpu gpu;
    int result;
    GThread *thread;
    guint source; /* the thread's to set, before it ends */
};

static void settle(struct vwl_bridge *bridge, int result,
                   const struct vwl_transport_gpu *gpu)
{
    bridge->gpu_known = result == 0;
    bridge->gpu_pause = result == 0 ? 0 : g_get_monotonic_time() + PAUSE_US;
    bridge->gpu = *gpu;
}

static gboolean on_answer(gpointer data)
{
    struct vwl_gpu_question *question = data;
    struct vwl_bridge *bridge = question->bridge;

    g_thread_join(question->thread);
    settle(bridge, question->result, &question->gpu);
    bridge->gpu_question = NULL;
    bridge->again = true; /* for those who wait */
    g_free(question);
    return G_SOURCE_REMOVE;
}

static gpointer ask(gpointer data)
{
    struct vwl_gpu_question *question = data;

    question->result = vwl_transport_gpu(question->bridge->transport,
                                         &question->gpu);
    question->source = g_idle_add(on_answer, question);
    return NULL;
}

const struct vwl_transport_gpu *vwl_gpu_of(struct vwl_bridge *bridge)
{
    struct vwl_gpu_question *question;

    if (bridge->gpu_question != NULL) {
        return NULL;
    }
    if (bridge->gpu_known || g_get_monotonic_time() < bridge->gpu_pause) {
        return &bridge->gpu;
    }
    if (!bridge->transport->ops->gpu_waits) {
        struct vwl_transport_gpu gpu;
        int r = vwl_transport_gpu(bridge->transport, &gpu);

        settle(bridge, r, &gpu);
        return &bridge->gpu;
    }
    question = g_new0(struct vwl_gpu_question, 1);
    question->bridge = bridge;
    bridge->gpu_question = question;
    question->thread = g_thread_new("vwl-gpu", ask, question);
    return NULL;
}

void vwl_gpu_finish(struct vwl_bridge *bridge)
{
    struct vwl_gpu_question *question = bridge->gpu_question;

    if (question != NULL) {
        g_thread_join(question->thread);
        g_source_remove(question->source);
        g_free(question);
        bridge->gpu_question = NULL;
    }
}
