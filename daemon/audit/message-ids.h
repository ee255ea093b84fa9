/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The journal's MESSAGE_ID of each class of events. Stable for ever: people filter and alarm on them. A class is one
 * event or several that begin with the same letters; the first row that fits counts. Texts: cmkd.catalog. */

#define MESSAGE_ID_KEY_SET       "234deddef184423ca74f9084fa311a2c"
#define MESSAGE_ID_KEY_GONE      "15f6871abe0a49fd8b1c4a0f6f0e1114"
#define MESSAGE_ID_KEY_READ      "4640cc47ced94e11a0770f6dd59fcfd8"
#define MESSAGE_ID_DM            "71ac2ffd45b849cdab9e1b4ba71c55fa"
#define MESSAGE_ID_VOLUME_OPEN   "bbecc34cdb5e41b98beb3b7468a1dd22"
#define MESSAGE_ID_GUARD         "cb18f3b8e77248fc89b1a898d6879f2e"
#define MESSAGE_ID_RELEASE       "48430c78712c4d30abd11135f587e480"
#define MESSAGE_ID_VERDICT       "8580d24c614949fb899b5a8c74cdfba9"
#define MESSAGE_ID_REVOKED       "e485721b67954dbdb6ccd7fb5d6a9774"
#define MESSAGE_ID_CUT           "7bb9e7135c374154a0823072aefc04d1"
#define MESSAGE_ID_LOST          "6a96838bd3a54ec59a130739ec7b936e"
#define MESSAGE_ID_GAP           "7ec34f69cf8a4eaaa76843550483fab7"
#define MESSAGE_ID_BLIND         "39860720f77d4b8d9c3d038e8207c966"
#define MESSAGE_ID_RECOVERY      "744947d560c740768b0024be6fa323b3"
#define MESSAGE_ID_RECOVERY_KEY  "3bfb87c31ad34c7aa3bc06fa3e09bd2c"
#define MESSAGE_ID_FOREIGN       "2ee2029ea4f044e6a687b7a418c5c14f"
#define MESSAGE_ID_MAPPING       "7a546cf2d60c40cf9c59be0d9ce5c15f"
#define MESSAGE_ID_DISK_REMOVED  "e9f1d7ee82e4425fbe426ad762a8b5d2"
#define MESSAGE_ID_CLOSED        "e8cd1e8f9ff54a2d9463bad0c3c3a0d1"
#define MESSAGE_ID_RESUMED       "3f88022fc1b94cf0969ca8d499a7416c"
#define MESSAGE_ID_PAUSE         "5275520620b54c07876f1594a61ca3c9"
#define MESSAGE_ID_DRILL         "779344b641f44661afb003466cd49f19"
#define MESSAGE_ID_KEY_ASKED     "62145c2e0fb940adae8ed45fd164aaf3"
#define MESSAGE_ID_HEADER        "bb69d004433e4b9982e40b6bfe43801d"
#define MESSAGE_ID_CLOCK         "de0fa8b42d214395b0e019a7b1d036b0"
#define MESSAGE_ID_MODULE        "26d61b97024543a48762d604340ea322"
#define MESSAGE_ID_GUARD_MODE    "43718fda714745f0834a748d0e7231c0"
#define MESSAGE_ID_OTHER         "4920b3c06eee4536a1cc21c4307e799f"
