/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/pulse/pulse.h"

/* By their numbers; docs/security.md shows them. */
static const struct pulse_command commands[] = {
    [0] = { "ERROR", PULSE_IGNORED, .why = "an answer" },
    [1] = { "TIMEOUT", PULSE_IGNORED, .why = "is never sent" },
    [2] = { "REPLY", PULSE_IGNORED, .why = "an answer" },
    [3] = { "CREATE_PLAYBACK_STREAM", PULSE_CREATES,
            .args = "amLtL?LLLLv?????????P", .why = "plays to a sink" },
    [4] = { "DELETE_PLAYBACK_STREAM", PULSE_DELETES, .args = "L",
            .why = "an own stream" },
    [5] = { "CREATE_RECORD_STREAM", PULSE_CREATES, .records = true,
            .args = "amLtL?L?????????PL", .why = "hears the room" },
    [6] = { "DELETE_RECORD_STREAM", PULSE_DELETES, .records = true, .args = "L",
            .why = "an own stream" },
    [7] = { "EXIT", PULSE_REFUSED, .why = "ends the server" },
    [8] = { "AUTH", PULSE_AUTHENTICATES, .args = "Lx",
            .why = "once, without shared memory" },
    [9] = { "SET_CLIENT_NAME", PULSE_PASSES, .args = "P",
            .why = "what mixers show" },
    [10] = { "LOOKUP_SINK", PULSE_PASSES, .args = "t",
             .why = "whether there is a sink of that name" },
    [11] = { "LOOKUP_SOURCE", PULSE_PASSES, .records = true, .args = "t",
             .why = "whether there is a source of that name" },
    [12] = { "DRAIN_PLAYBACK_STREAM", PULSE_PASSES, .args = "L",
             .why = "an own stream" },
    [13] = { "STAT", PULSE_REFUSED, .why = "the server's memory" },
    [14] = { "GET_PLAYBACK_LATENCY", PULSE_PASSES, .args = "LT",
             .why = "an own stream" },
    [15] = { "CREATE_UPLOAD_STREAM", PULSE_REFUSED,
             .why = "samples stay in the server, for all" },
    [16] = { "DELETE_UPLOAD_STREAM", PULSE_REFUSED,
             .why = "samples stay in the server, for all" },
    [17] = { "FINISH_UPLOAD_STREAM", PULSE_REFUSED,
             .why = "samples stay in the server, for all" },
    [18] = { "PLAY_SAMPLE", PULSE_REFUSED, .why = "samples of other programs" },
    [19] = { "REMOVE_SAMPLE", PULSE_REFUSED,
             .why = "samples of other programs" },
    [20] = { "GET_SERVER_INFO", PULSE_PASSES, .args = "",
             .why = "names of the server, its user and host, the default sink "
                    "and source" },
    [21] = { "GET_SINK_INFO", PULSE_PASSES, .args = "Lt",
             .why = "name, volume and hardware of a sink" },
    [22] = { "GET_SINK_INFO_LIST", PULSE_PASSES, .args = "",
             .why = "the same of all sinks" },
    [23] = { "GET_SOURCE_INFO", PULSE_PASSES, .records = true, .args = "Lt",
             .why = "name, volume and hardware of a source" },
    [24] = { "GET_SOURCE_INFO_LIST", PULSE_PASSES, .records = true, .args = "",
             .why = "the same of all sources" },
    [25] = { "GET_MODULE_INFO", PULSE_REFUSED,
             .why = "modules, with paths and addresses" },
    [26] = { "GET_MODULE_INFO_LIST", PULSE_REFUSED,
             .why = "modules, with paths and addresses" },
    [27] = { "GET_CLIENT_INFO", PULSE_REFUSED, .why = "other programs" },
    [28] = { "GET_CLIENT_INFO_LIST", PULSE_REFUSED, .why = "other programs" },
    [29] = { "GET_SINK_INPUT_INFO", PULSE_OWN, .args = "L",
             .why = "a stream, if it is an own one" },
    [30] = { "GET_SINK_INPUT_INFO_LIST", PULSE_REFUSED,
             .why = "other programs' streams" },
    [31] = { "GET_SOURCE_OUTPUT_INFO", PULSE_OWN, .records = true, .args = "L",
             .why = "a stream, if it is an own one" },
    [32] = { "GET_SOURCE_OUTPUT_INFO_LIST", PULSE_REFUSED,
             .why = "other programs' streams" },
    [33] = { "GET_SAMPLE_INFO", PULSE_REFUSED,
             .why = "samples of other programs" },
    [34] = { "GET_SAMPLE_INFO_LIST", PULSE_REFUSED,
             .why = "samples of other programs" },
    [35] = { "SUBSCRIBE", PULSE_SUBSCRIBES, .args = "L",
             .why = "changes of sinks, of the defaults and of own streams" },
    [36] = { "SET_SINK_VOLUME", PULSE_REFUSED, .why = "changes it for all" },
    [37] = { "SET_SINK_INPUT_VOLUME", PULSE_OWN, .args = "Lv",
             .why = "a stream, if it is an own one" },
    [38] = { "SET_SOURCE_VOLUME", PULSE_REFUSED, .why = "changes it for all" },
    [39] = { "SET_SINK_MUTE", PULSE_REFUSED, .why = "changes it for all" },
    [40] = { "SET_SOURCE_MUTE", PULSE_REFUSED, .why = "changes it for all" },
    [41] = { "CORK_PLAYBACK_STREAM", PULSE_PASSES, .args = "L?",
             .why = "an own stream" },
    [42] = { "FLUSH_PLAYBACK_STREAM", PULSE_PASSES, .args = "L",
             .why = "an own stream" },
    [43] = { "TRIGGER_PLAYBACK_STREAM", PULSE_PASSES, .args = "L",
             .why = "an own stream" },
    [44] = { "SET_DEFAULT_SINK", PULSE_REFUSED, .why = "changes it for all" },
    [45] = { "SET_DEFAULT_SOURCE", PULSE_REFUSED, .why = "changes it for all" },
    [46] = { "SET_PLAYBACK_STREAM_NAME", PULSE_PASSES, .args = "Lt",
             .why = "an own stream" },
    [47] = { "SET_RECORD_STREAM_NAME", PULSE_PASSES, .records = true,
             .args = "Lt", .why = "an own stream" },
    [48] = { "KILL_CLIENT", PULSE_REFUSED, .why = "other programs" },
    [49] = { "KILL_SINK_INPUT", PULSE_OWN, .args = "L",
             .why = "a stream, if it is an own one" },
    [50] = { "KILL_SOURCE_OUTPUT", PULSE_OWN, .records = true, .args = "L",
             .why = "a stream, if it is an own one" },
    [51] = { "LOAD_MODULE", PULSE_REFUSED,
             .why = "code in the server, which opens files and the network" },
    [52] = { "UNLOAD_MODULE", PULSE_REFUSED, .why = "parts of the server" },
    [53] = { "ADD_AUTOLOAD", PULSE_REFUSED, .why = "obsolete" },
    [54] = { "REMOVE_AUTOLOAD", PULSE_REFUSED, .why = "obsolete" },
    [55] = { "GET_AUTOLOAD_INFO", PULSE_REFUSED, .why = "obsolete" },
    [56] = { "GET_AUTOLOAD_INFO_LIST", PULSE_REFUSED, .why = "obsolete" },
    [57] = { "GET_RECORD_LATENCY", PULSE_PASSES, .records = true, .args = "LT",
             .why = "an own stream" },
    [58] = { "CORK_RECORD_STREAM", PULSE_PASSES, .records = true, .args = "L?",
             .why = "an own stream" },
    [59] = { "FLUSH_RECORD_STREAM", PULSE_PASSES, .records = true, .args = "L",
             .why = "an own stream" },
    [60] = { "PREBUF_PLAYBACK_STREAM", PULSE_PASSES, .args = "L",
             .why = "an own stream" },
    [67] = { "MOVE_SINK_INPUT", PULSE_REFUSED,
             .why = "the user moves streams" },
    [68] = { "MOVE_SOURCE_OUTPUT", PULSE_REFUSED,
             .why = "the user moves streams" },
    [69] = { "SET_SINK_INPUT_MUTE", PULSE_OWN, .args = "L?",
             .why = "a stream, if it is an own one" },
    [70] = { "SUSPEND_SINK", PULSE_REFUSED, .why = "stops it for all" },
    [71] = { "SUSPEND_SOURCE", PULSE_REFUSED, .why = "stops it for all" },
    [72] = { "SET_PLAYBACK_STREAM_BUFFER_ATTR", PULSE_PASSES, .args = "L",
             .why = "an own stream" },
    [73] = { "SET_RECORD_STREAM_BUFFER_ATTR", PULSE_PASSES, .records = true,
             .args = "L", .why = "an own stream" },
    [74] = { "UPDATE_PLAYBACK_STREAM_SAMPLE_RATE", PULSE_PASSES, .args = "LL",
             .why = "an own stream" },
    [75] = { "UPDATE_RECORD_STREAM_SAMPLE_RATE", PULSE_PASSES, .records = true,
             .args = "LL", .why = "an own stream" },
    [80] = { "UPDATE_RECORD_STREAM_PROPLIST", PULSE_PASSES, .records = true,
             .args = "LLP", .why = "an own stream" },
    [81] = { "UPDATE_PLAYBACK_STREAM_PROPLIST", PULSE_PASSES, .args = "LLP",
             .why = "an own stream" },
    [82] = { "UPDATE_CLIENT_PROPLIST", PULSE_PASSES, .args = "LP",
             .why = "what mixers show" },
    [83] = { "REMOVE_RECORD_STREAM_PROPLIST", PULSE_REMOVES, .records = true,
             .args = "L", .why = "an own stream" },
    [84] = { "REMOVE_PLAYBACK_STREAM_PROPLIST", PULSE_REMOVES, .args = "L",
             .why = "an own stream" },
    [85] = { "REMOVE_CLIENT_PROPLIST", PULSE_REMOVES, .args = "",
             .why = "what mixers show" },
    [87] = { "EXTENSION", PULSE_REFUSED,
             .why = "modules: volumes and devices of all programs" },
    [88] = { "GET_CARD_INFO", PULSE_REFUSED, .why = "the host's hardware" },
    [89] = { "GET_CARD_INFO_LIST", PULSE_REFUSED,
             .why = "the host's hardware" },
    [90] = { "SET_CARD_PROFILE", PULSE_REFUSED, .why = "changes it for all" },
    [96] = { "SET_SINK_PORT", PULSE_REFUSED, .why = "changes it for all" },
    [97] = { "SET_SOURCE_PORT", PULSE_REFUSED, .why = "changes it for all" },
    [98] = { "SET_SOURCE_OUTPUT_VOLUME", PULSE_OWN, .records = true,
             .args = "Lv", .why = "a stream, if it is an own one" },
    [99] = { "SET_SOURCE_OUTPUT_MUTE", PULSE_OWN, .records = true, .args = "L?",
             .why = "a stream, if it is an own one" },
    [100] = { "SET_PORT_LATENCY_OFFSET", PULSE_REFUSED,
              .why = "changes it for all" },
    [101] = { "ENABLE_SRBCHANNEL", PULSE_REFUSED, .why = "shared memory" },
    [102] = { "DISABLE_SRBCHANNEL", PULSE_REFUSED, .why = "shared memory" },
    [103] = { "REGISTER_MEMFD_SHMID", PULSE_REFUSED, .why = "shared memory" },
    [104] = { "SEND_OBJECT_MESSAGE", PULSE_REFUSED,
              .why = "parts of the server" },
};

/* Of own streams and what they play to, unless said. */
static const uint8_t events[] = {
    61, /* REQUEST */
    62, /* OVERFLOW */
    63, /* UNDERFLOW */
    64, /* PLAYBACK_STREAM_KILLED */
    65, /* RECORD_STREAM_KILLED */
    66, /* SUBSCRIBE_EVENT: of what it subscribed to */
    76, /* PLAYBACK_STREAM_SUSPENDED */
    77, /* RECORD_STREAM_SUSPENDED */
    78, /* PLAYBACK_STREAM_MOVED */
    79, /* RECORD_STREAM_MOVED */
    86, /* STARTED */
    91, /* CLIENT_EVENT: asks to pause, for one */
    92, /* PLAYBACK_STREAM_EVENT */
    93, /* RECORD_STREAM_EVENT */
    94, /* PLAYBACK_BUFFER_ATTR_CHANGED */
    95, /* RECORD_BUFFER_ATTR_CHANGED */
};

const struct pulse_command *pulse_command(uint32_t number)
{
    return number < G_N_ELEMENTS(commands) && commands[number].name
               ? &commands[number]
               : NULL;
}

bool pulse_is_event(uint32_t number)
{
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        if (events[i] == number) {
            return true;
        }
    }
    return false;
}
