// SPDX-License-Identifier: Apache-2.0
/*
 * A UMED that goes wrong when a guest tells it to: the real one's objects with DllGetClassObject in
 * front, and a device that looks at the stores first. A store of FAULT | n to the indicator does
 * fault n.
 */
#include "dxgk/tests/drivers/faulty_umed.h"

#include "igpupvdev.h"
#include "softgpu/hw.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

HRESULT __real_umed_device_create(REFIID riid, void **out);
HRESULT __wrap_umed_device_create(REFIID riid, void **out);

static IGPUPMitigationDeviceVtbl table;
static const IGPUPMitigationDeviceVtbl *real;
static uint32_t save_fault;

static void go_wrong(uint32_t fault)
{
    /* A fault that does not end the process leaves it serving on, which the test then sees. */
    switch (fault) {
    case FAULT_CRASH:
        __builtin_trap(); /* no sanitizer makes an exit of it */
    case FAULT_HANG:
        for (;;)
            __asm__ volatile("");
    case FAULT_EXIT:
        _exit(9);
    case FAULT_OPEN:
        (void)open("/etc/passwd", O_RDONLY);
        break;
    case FAULT_SOCKET:
        (void)socket(AF_INET, SOCK_STREAM, 0);
        break;
    case FAULT_EXEC:
        (void)execl("/bin/true", "true", (char *)NULL);
        break;
    case FAULT_FORK:
        (void)fork();
        break;
    case FAULT_KILL:
        (void)kill(getppid(), 0);
        break;
    case FAULT_PTRACE:
        (void)syscall(SYS_ptrace, 0, 0, 0, 0);
        break;
    case FAULT_MAP_CODE:
        (void)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                   0);
        break;
    case FAULT_MAP_FILE:
        (void)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 2, 0);
        break;
    case FAULT_READ_FD:
        (void)read(2, &fault, sizeof fault);
        break;
    case FAULT_GARBAGE:
        (void)send(3, "garbage garbage garbage garbage ", 32, 0);
        break;
    default:
        save_fault = fault;
        break;
    }
}

static HRESULT STDMETHODCALLTYPE write_page(IGPUPMitigationDevice *This, PLUID luid,
                                            VGPU_BAR_SELECTOR bar, ULONG64 offset, ULONG64 length,
                                            const BYTE value[])
{
    uint32_t word = 0;

    if (length == 4 && offset == SG_VF_PLATFORM + SG_PLAT_INDICATOR) {
        memcpy(&word, value, sizeof word);
        if ((word & FAULT) == FAULT)
            go_wrong(word & ~FAULT);
    }
    return real->WriteInterceptedGpup(This, luid, bar, offset, length, value);
}

static HRESULT STDMETHODCALLTYPE save_begin(IGPUPMitigationDevice *This, PLUID luid,
                                            GPUP_SAVE_RESTORE_PAUSE_STATE flags, ULONG *length,
                                            BYTE buffer[])
{
    HRESULT result = real->SaveGpupBegin(This, luid, flags, length, buffer);

    if (save_fault == FAULT_SAVE_HUGE)
        *length = 1u << 30;
    return result;
}

static HRESULT STDMETHODCALLTYPE save_continue(IGPUPMitigationDevice *This, PLUID luid,
                                               GPUP_SAVE_RESTORE_PAUSE_STATE flags, ULONG *length,
                                               ULONG *left, BYTE buffer[])
{
    HRESULT result = real->SaveGpupContinue(This, luid, flags, length, left, buffer);

    if (save_fault == FAULT_SAVE_GROWS)
        *left += 1;
    if (save_fault == FAULT_SAVE_OVERRUN && *left == 0)
        buffer[*length] ^= 0xff;
    return result;
}

HRESULT __wrap_umed_device_create(REFIID riid, void **out)
{
    HRESULT result = __real_umed_device_create(&IID_IGPUPMitigationDevice, out);
    IGPUPMitigationDevice *device;

    if (FAILED(result))
        return result;
    device = *out;
    real = device->lpVtbl;
    table = *real;
    table.WriteInterceptedGpup = write_page;
    table.SaveGpupBegin = save_begin;
    table.SaveGpupContinue = save_continue;
    device->lpVtbl = &table;
    result = device->lpVtbl->QueryInterface(device, riid, out);
    (void)device->lpVtbl->Release(device);
    return result;
}
