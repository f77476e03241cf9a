// SPDX-License-Identifier: Apache-2.0
/* A dxgk in memory for tests of the call interface: partitions are arrays, transfers are done by
 * a thread. */
#ifndef KERNEL_TESTS_FAKE_DXGK_H
#define KERNEL_TESTS_FAKE_DXGK_H

#include "dxgk/dxgk.h"

#define FAKE_PAGE 4096u
#define FAKE_KMD_BYTES 300000u /* more than one packet */
#define FAKE_UMED_BYTES 33u
#define FAKE_VRAM_BAR 2u

/* While held, transfers are taken but do not complete, and a zero-fill for what arrives comes to
 * no end. */
void fake_hold(struct dxgk *dxgk, bool hold);
/* Waits until such a fill has begun. */
void fake_await_filling(struct dxgk *dxgk);
/* Open channels of all partitions; transfers taken and not completed. */
unsigned fake_channels(struct dxgk *dxgk);
unsigned fake_flying(struct dxgk *dxgk);
/* Waits until that many are in flight. */
void fake_await_flying(struct dxgk *dxgk, unsigned flying);
/* Waits until that many channels are open. */
void fake_await_channels(struct dxgk *dxgk, unsigned channels);
/* Says an event as a driver would. */
void fake_event(struct dxgk *dxgk, const char *kind, const char *text);
/* Makes sealing the slots' memory impossible, as a careless implementation would. */
void fake_unsealable(struct dxgk *dxgk, bool unsealable);

#endif
