/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the bridge's files alone: one client and what it owns. */
#ifndef VWL_BRIDGE_CLIENT_H
#define VWL_BRIDGE_CLIENT_H

#include <glib-unix.h>
#include <glib.h>

#include "../transport.h"
#include "bridge.h"
#include "kind.h"
#include "wayland/objects.h"
#include "wayland/table.h"
#include "wayland/wire.h"

#define VWL_MAX_CLIENTS 512u
#define VWL_MAX_CLIENT_PIPES 64u
/* Bytes on their way beyond which the sender is not read. */
#define VWL_HIGH_WATER (1u << 20)
/* Of one sendmsg: what libwayland takes. */
#define VWL_MAX_FDS 28u

#define WL_ERROR_INVALID_OBJECT 0u
#define WL_ERROR_INVALID_METHOD 1u
#define WL_ERROR_NO_MEMORY 2u

struct vwl_bridge {
    struct vwl_transport *transport;
    struct vwl_bridge_options options;
    GSource *source;
    GPtrArray *clients; /* of struct vwl_client */
    GPtrArray *pipes;   /* of struct vwl_pipe */
    GPtrArray *arrivals;
    GPtrArray *listeners;
    unsigned int counter;
    struct vwl_transport_gpu gpu;
    bool gpu_known;
    bool again; /* more to receive than one round takes */
    bool gone;
};

/* A descriptor or VFD that belongs to the byte at `at` of a queue. */
struct vwl_attached {
    int fd;
    size_t at;
};

/* Bytes with descriptors on their way. */
struct vwl_queue {
    GByteArray *bytes;
    GArray *fds; /* of struct vwl_attached */
};

/* Bytes of a queue to the host that go in a message of their own: whether the
 * host can use its descriptors, only the answer tells. */
struct vwl_lone {
    size_t begin, end;
    uint32_t object; /* host id of whose requests they are */
    bool fatal;      /* a refusal ends the client */
    unsigned int n;
    int handles[4]; /* of vwl_transport_import */
    int fence;      /* the descriptor, should it be refused; or -1 */
};

/* Of a connection whose bytes mean nothing to the bridge. */
struct vwl_raw {
    guint hup_watch;
    bool client_gone; /* both its directions */
    bool host_eof, shut;
    size_t seen;  /* bytes of the client */
    bool unknown; /* not PulseAudio's protocol */
};

struct vwl_client {
    struct vwl_bridge *bridge;
    unsigned int number;
    int fd;
    guint in_watch, out_watch;
    struct vwl_queue from_client, to_client; /* with descriptors */
    struct vwl_queue from_host, to_host;     /* with VFDs */
    GArray *closing; /* struct vwl_attached: VFDs to close once to_host is
                        sent up to there */
    GArray *lone;    /* of struct vwl_lone, in to_host's order */
    struct vwl_lone asking; /* is being sent; end 0: none */
    int ctx;                /* VFD; -1: hung up */
    bool sending, host_gone, failed;
    bool eof, deaf; /* the client's end: said all, hears nothing */
    bool full;      /* to_client: the host is not read meanwhile */
    bool dead;      /* to be freed when no send is under way */
    bool raw;       /* not Wayland: socket.c */
    struct vwl_raw raw_state;
    unsigned int n_pipes;
    struct vwl_objects objects;
    GHashTable *globals; /* name to offered struct vwl_table_row */
    /* shm.c */
    GPtrArray *buffers; /* of struct vwl_buffer, all that are alive */
    GQueue idle;        /* of struct vwl_memory */
    size_t idle_bytes, memory_bytes;
    unsigned int n_pools;
    unsigned int n_mapped; /* pools whose file is mapped */
    unsigned int n_planes; /* dmabuf.c: descriptors that are held */
    /* sync.c */
    GArray *releases; /* of struct vwl_release */
    int fence;        /* nothing is sent before it is signalled; -1: none */
    guint fence_watch;
};

/* bridge.c: g_unix_fd_add, but cheaper; it ends by g_source_remove. */
guint vwl_bridge_watch(int fd, GIOCondition condition, GUnixFDSourceFunc fn,
                       void *opaque);

/* queue.c */
void vwl_queue_init(struct vwl_queue *queue);
struct vwl_attached *vwl_queue_attached(struct vwl_queue *queue, guint i);
void vwl_queue_attach(struct vwl_queue *queue, int fd, size_t at);
/* Takes bytes from the front; what stays attached moves along. */
void vwl_queue_shift(struct vwl_queue *queue, size_t bytes, unsigned int fds);
/* How many of len bytes one message may hold, and its descriptors. */
size_t vwl_queue_batch(struct vwl_queue *queue, size_t len, int *fds,
                       unsigned int *n);

/* client.c */
/* Takes both its ends. */
struct vwl_client *vwl_client_new(struct vwl_bridge *bridge, int ctx, int fd);
/* Ends the connection to the host, and sends under way with it. */
void vwl_client_hang_up(struct vwl_client *client);
void vwl_client_free(struct vwl_client *client);
void vwl_client_from_host(struct vwl_client *client);
void vwl_client_flush(struct vwl_client *client);
/* Says wl_display.error; nothing more is relayed. */
void vwl_client_error(struct vwl_client *client, uint32_t object, uint32_t code,
                      const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Without a word; the protocol has none for it. */
void vwl_client_fail(struct vwl_client *client, const char *why);
void vwl_client_delete_id(struct vwl_client *client, uint32_t id);
/* After all that is on its way to the host was sent. */
void vwl_client_close_vfd(struct vwl_client *client, int vfd);
void vwl_client_to_host(struct vwl_client *client, const void *bytes,
                        size_t len, int vfd);
/* A message of uint32_t arguments. */
void vwl_client_request(struct vwl_client *client, uint32_t object,
                        unsigned int opcode, const uint32_t *args,
                        unsigned int n_args, int vfd);
/* What was queued since lone->begin (a length of to_host) is to go alone, with
 * its handles; they and the fence are taken. */
void vwl_client_alone(struct vwl_client *client,
                      const struct vwl_object *object,
                      const struct vwl_lone *lone);

/* socket.c: what came from either side goes on to the other. */
void vwl_socket_from_client(struct vwl_client *client);
void vwl_socket_from_host(struct vwl_client *client);
/* After a flush: whether nothing more can happen. */
bool vwl_socket_is_over(struct vwl_client *client);

/* relay.c */
/* The next descriptor that the client sent; there is one. */
int vwl_client_take_fd(struct vwl_client *client);
/* One whole message. */
void vwl_relay_request(struct vwl_client *client, void *data, size_t size);
void vwl_relay_event(struct vwl_client *client, void *data, size_t size);

/* shm.c. A take of a request returns true when it was dealt with. */
bool vwl_shm_request(struct vwl_client *client, struct vwl_object *object,
                     const struct vwl_wire_message *msg, const void *data);
/* The host cannot use a pool that was handed over. */
void vwl_shm_refused(struct vwl_client *client);
/* Before a request goes on that names an object. false: the client failed. */
bool vwl_shm_materialize(struct vwl_client *client, struct vwl_object *object);
/* wl_buffer.release. */
void vwl_shm_released(struct vwl_client *client, struct vwl_object *object);
void vwl_shm_object_freed(struct vwl_client *client, struct vwl_object *object);
void vwl_shm_finish(struct vwl_client *client);
void vwl_surface_request(struct vwl_client *client, struct vwl_object *object,
                         const struct vwl_wire_message *msg);
void vwl_surface_has_viewport(struct vwl_object *surface);

/* dmabuf.c */
/* Whether the client is to see a global; it may be of a lower version. */
bool vwl_dmabuf_offers(struct vwl_client *client,
                       const struct wl_interface *iface, uint32_t *version);
/* true: dealt with. */
bool vwl_dmabuf_request(struct vwl_client *client, struct vwl_object *params,
                        const struct vwl_wire_message *msg);
/* The host's devices become the guest's. */
void vwl_dmabuf_feedback(struct vwl_client *client,
                         const struct vwl_wire_message *msg, void *data);
void vwl_dmabuf_freed(struct vwl_client *client, struct vwl_object *params);
/* The host cannot use what was sent alone for this object. */
void vwl_dmabuf_refused(struct vwl_client *client, struct vwl_object *params,
                        bool fatal);

/* sync.c */
GArray *vwl_sync_releases_new(void);
/* true: dealt with. */
bool vwl_sync_request(struct vwl_client *client, struct vwl_object *object,
                      const struct vwl_wire_message *msg);
void vwl_sync_made(struct vwl_client *client, struct vwl_object *sync,
                   uint32_t surface);
/* sync: a client id, or 0. */
void vwl_sync_surface_gone(struct vwl_client *client, uint32_t sync);
/* The host cannot use a fence: it is waited for here. Takes *fd. */
void vwl_sync_refused(struct vwl_client *client, struct vwl_object *sync,
                      int *fd);
/* Of a release's events: true: dealt with. */
bool vwl_sync_released(struct vwl_client *client, struct vwl_object *release,
                       const struct vwl_wire_message *msg);
/* The host is done with a release's id. true: the client is told later. */
bool vwl_sync_delete_id(struct vwl_client *client, struct vwl_object *release);
/* Tells of the fences that are signalled. */
void vwl_sync_serve(struct vwl_client *client);
void vwl_sync_finish(struct vwl_client *client);

/* pipe.c */
struct vwl_pipe;
/* fd, the client's end of a pipe, becomes a VFD to be sent, or -errno. */
int vwl_pipe_from_client(struct vwl_client *client, int *fd);
/* A VFD from the host becomes a descriptor for the client, or -errno. */
int vwl_pipe_from_host(struct vwl_client *client, int *vfd);
void vwl_pipe_serve(struct vwl_pipe *pipe);
bool vwl_pipe_is_dead(const struct vwl_pipe *pipe);
void vwl_pipe_forget_client(struct vwl_pipe *pipe,
                            const struct vwl_client *client);
void vwl_pipe_free(struct vwl_pipe *pipe);
/* A memory VFD's first size bytes, as a file of the client's own. */
int vwl_pipe_copy_memory(struct vwl_client *client, int *vfd, size_t size);

/* names.c */
/* A toplevel was made. */
void vwl_names_begin(struct vwl_client *client,
                     const struct vwl_object *toplevel);
/* true: dealt with. */
bool vwl_names_request(struct vwl_client *client,
                       const struct vwl_object *toplevel,
                       const struct vwl_wire_message *msg, const void *data);

/* trace.c */
void vwl_trace(const struct vwl_client *client, const char *arrow,
               const struct vwl_object *object, const struct wl_message *proto,
               const struct vwl_wire_message *msg, const void *data);

#endif
