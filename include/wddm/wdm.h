// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel services a display miniport calls, with the names and layouts of Windows x64. On Linux
 * the host process exports them (dxgk/nt); a driver is a shared object that leaves them undefined.
 */
#ifndef WDDM_WDM_H
#define WDDM_WDM_H

#include "ntdef.h"
#include "ntstatus.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- IRQL. Modelled per thread: raising blocks nothing, but calls at the wrong level are
 * reported. */

typedef UCHAR KIRQL;
typedef KIRQL *PKIRQL;

#define PASSIVE_LEVEL 0
#define LOW_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2
#define CMCI_LEVEL 5
#define DEVICE_LEVEL 8 /* what interrupt routines run at here; Windows assigns a DIRQL of 3 to 11 \
                        */
#define CLOCK_LEVEL 13
#define IPI_LEVEL 14
#define HIGH_LEVEL 15

/* Any thread, any IRQL. */
NTKERNELAPI KIRQL KeGetCurrentIrql(void);
/* Raises to new_irql (never lowers) and gives the old level in *old_irql. */
NTKERNELAPI void KeRaiseIrql(KIRQL new_irql, PKIRQL old_irql);
/* Lowers to new_irql, a level an earlier raise of the same thread returned. */
NTKERNELAPI void KeLowerIrql(KIRQL new_irql);
FORCEINLINE KIRQL KeRaiseIrqlToDpcLevel(void)
{
    KIRQL old;

    KeRaiseIrql(DISPATCH_LEVEL, &old);
    return old;
}

#define PAGED_CODE() ((void)0)
#define PAGED_CODE_LOCKED() ((void)0)

/* ---- Spin locks. Zeroed memory is a free lock. */

typedef ULONG_PTR KSPIN_LOCK;
typedef KSPIN_LOCK *PKSPIN_LOCK;

NTKERNELAPI void KeInitializeSpinLock(PKSPIN_LOCK lock);
/* IRQL <= DISPATCH_LEVEL; raises the thread to DISPATCH_LEVEL. */
NTKERNELAPI KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK lock);
#define KeAcquireSpinLock(lock, old_irql) ((void)(*(old_irql) = KeAcquireSpinLockRaiseToDpc(lock)))
NTKERNELAPI void KeReleaseSpinLock(PKSPIN_LOCK lock, KIRQL new_irql);
/* The caller is at DISPATCH_LEVEL or above and stays there. */
NTKERNELAPI void KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock);
NTKERNELAPI void KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK lock);
/* TRUE when the lock was free and is now held. IRQL >= DISPATCH_LEVEL. */
NTKERNELAPI BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock);

/* ---- Events and fast mutexes. */

typedef enum _EVENT_TYPE { NotificationEvent = 0, SynchronizationEvent = 1 } EVENT_TYPE;
typedef enum _KWAIT_REASON { Executive = 0, UserRequest = 6 } KWAIT_REASON;
typedef enum _MODE { KernelMode = 0, UserMode = 1 } MODE;
typedef CHAR KPROCESSOR_MODE;
typedef LONG KPRIORITY;
#define IO_NO_INCREMENT 0

typedef struct _DISPATCHER_HEADER {
    UCHAR Type; /* EVENT_TYPE */
    UCHAR Signalling;
    UCHAR Size;
    UCHAR Reserved1;
    LONG SignalState; /* atomic; also the word waiters sleep on */
    LIST_ENTRY WaitListHead;
} DISPATCHER_HEADER;

typedef struct _KEVENT {
    DISPATCHER_HEADER Header;
} KEVENT, *PKEVENT, *PRKEVENT;
C_ASSERT(sizeof(KEVENT) == 24);

NTKERNELAPI void KeInitializeEvent(PRKEVENT event, EVENT_TYPE type, BOOLEAN state);
/* Signals; gives the previous state (0 not signalled). IRQL <= DISPATCH_LEVEL when wait is FALSE.
 */
NTKERNELAPI LONG KeSetEvent(PRKEVENT event, KPRIORITY increment, BOOLEAN wait);
NTKERNELAPI LONG KeResetEvent(PRKEVENT event);
NTKERNELAPI void KeClearEvent(PRKEVENT event);
NTKERNELAPI LONG KeReadStateEvent(PRKEVENT event);
/*
 * Waits for a KEVENT. timeout: NULL for ever, 0 polls, negative relative in 100 ns, positive
 * absolute in 100 ns since 1601. IRQL <= APC_LEVEL, or DISPATCH_LEVEL with a zero timeout.
 * STATUS_SUCCESS, STATUS_TIMEOUT.
 */
NTKERNELAPI NTSTATUS KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode,
                                           BOOLEAN alertable, PLARGE_INTEGER timeout);

typedef struct _FAST_MUTEX {
    LONG Count;
    PVOID Owner;
    ULONG Contention;
    KEVENT Event;
    ULONG OldIrql;
} FAST_MUTEX, *PFAST_MUTEX;
C_ASSERT(sizeof(FAST_MUTEX) == 56);

/* Not recursive. Acquire at IRQL <= APC_LEVEL; the owner runs at APC_LEVEL until the release. */
NTKERNELAPI void ExInitializeFastMutex(PFAST_MUTEX mutex);
NTKERNELAPI void ExAcquireFastMutex(PFAST_MUTEX mutex);
NTKERNELAPI BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX mutex);
NTKERNELAPI void ExReleaseFastMutex(PFAST_MUTEX mutex);

/* ---- Pool. */

typedef ULONGLONG POOL_FLAGS;
#define POOL_FLAG_REQUIRED_START 0x0000000000000001ULL
#define POOL_FLAG_USE_QUOTA 0x0000000000000001ULL
#define POOL_FLAG_UNINITIALIZED 0x0000000000000002ULL
#define POOL_FLAG_SESSION 0x0000000000000004ULL
#define POOL_FLAG_CACHE_ALIGNED 0x0000000000000008ULL
#define POOL_FLAG_RAISE_ON_FAILURE 0x0000000000000020ULL
#define POOL_FLAG_NON_PAGED 0x0000000000000040ULL
#define POOL_FLAG_NON_PAGED_EXECUTE 0x0000000000000080ULL
#define POOL_FLAG_PAGED 0x0000000000000100ULL

/*
 * Zeroed unless POOL_FLAG_UNINITIALIZED; 16-byte aligned, page aligned from a page upwards. tag is
 * not 0. NULL when out of memory or on wrong flags. IRQL <= DISPATCH_LEVEL (PAGED: <= APC_LEVEL).
 */
NTKERNELAPI PVOID ExAllocatePool2(POOL_FLAGS flags, SIZE_T bytes, ULONG tag);
/* p comes from ExAllocatePool2 and is freed once. A tag other than 0 must match. */
NTKERNELAPI void ExFreePoolWithTag(PVOID p, ULONG tag);
NTKERNELAPI void ExFreePool(PVOID p);

/* ---- Memory descriptor lists. Pages are 4 KiB. */

#define PAGE_SHIFT 12
#define PAGE_SIZE 0x1000
#define BYTE_OFFSET(va) ((ULONG)((ULONG_PTR)(va) & (PAGE_SIZE - 1)))
#define PAGE_ALIGN(va) ((PVOID)((ULONG_PTR)(va) & ~(ULONG_PTR)(PAGE_SIZE - 1)))
#define ROUND_TO_PAGES(size) (((ULONG_PTR)(size) + PAGE_SIZE - 1) & ~(ULONG_PTR)(PAGE_SIZE - 1))
#define BYTES_TO_PAGES(size) \
    (((ULONG_PTR)(size) >> PAGE_SHIFT) + (((ULONG_PTR)(size) & (PAGE_SIZE - 1)) != 0))
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, size) \
    ((ULONG)(((ULONG_PTR)BYTE_OFFSET(va) + (ULONG_PTR)(size) + PAGE_SIZE - 1) >> PAGE_SHIFT))

typedef ULONG_PTR PFN_NUMBER, *PPFN_NUMBER;

/* The page frame numbers follow the header: MmGetMdlPfnArray. */
typedef struct _MDL {
    struct _MDL *Next;
    CSHORT Size;
    CSHORT MdlFlags;
    PVOID Process;
    PVOID MappedSystemVa;
    PVOID StartVa;
    ULONG ByteCount;
    ULONG ByteOffset;
} MDL, *PMDL;
C_ASSERT(sizeof(MDL) == 48);

#define MDL_MAPPED_TO_SYSTEM_VA 0x0001
#define MDL_PAGES_LOCKED 0x0002
#define MDL_SOURCE_IS_NONPAGED_POOL 0x0004
#define MDL_ALLOCATED_FIXED_SIZE 0x0008
#define MDL_PARTIAL 0x0010
#define MDL_IO_PAGE_READ 0x0040

#define MmGetMdlPfnArray(mdl) ((PPFN_NUMBER)((mdl) + 1))
#define MmGetMdlByteCount(mdl) ((mdl)->ByteCount)
#define MmGetMdlByteOffset(mdl) ((mdl)->ByteOffset)
#define MmGetMdlVirtualAddress(mdl) ((PVOID)((PCHAR)((mdl)->StartVa) + (mdl)->ByteOffset))

typedef enum _MEMORY_CACHING_TYPE {
    MmNonCached = 0,
    MmCached = 1,
    MmWriteCombined = 2,
    MmHardwareCoherentCached = 3,
    MmNonCachedUnordered = 4,
    MmUSWCCached = 5,
    MmMaximumCacheType = 6,
    MmNotMapped = -1
} MEMORY_CACHING_TYPE;

#define MM_DONT_ZERO_ALLOCATION 0x00000001
#define MM_ALLOCATE_FROM_LOCAL_NODE_ONLY 0x00000002
#define MM_ALLOCATE_FULLY_REQUIRED 0x00000004
#define MM_ALLOCATE_NO_WAIT 0x00000008
#define MM_ALLOCATE_PREFER_CONTIGUOUS 0x00000010
#define MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS 0x00000020

typedef enum _MM_PAGE_PRIORITY {
    LowPagePriority = 0,
    NormalPagePriority = 16,
    HighPagePriority = 32
} MM_PAGE_PRIORITY;
#define MdlMappingNoWrite 0x80000000u
#define MdlMappingNoExecute 0x40000000u

/*
 * Allocates physical pages, zeroed unless MM_DONT_ZERO_ALLOCATION. The MDL may describe fewer bytes
 * than asked (never here when MM_ALLOCATE_FULLY_REQUIRED); NULL when none. low, high and skip bound
 * the addresses on Windows; here every page lies below any bound a 64-bit device has. The caller
 * frees the pages with MmFreePagesFromMdl and then the MDL with ExFreePool. IRQL <= APC_LEVEL.
 */
NTKERNELAPI PMDL MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high,
                                         PHYSICAL_ADDRESS skip, SIZE_T bytes,
                                         MEMORY_CACHING_TYPE cache, ULONG flags);
NTKERNELAPI PMDL MmAllocatePagesForMdl(PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high,
                                       PHYSICAL_ADDRESS skip, SIZE_T bytes);
/* Frees the pages, not the MDL; a mapping goes with them. IRQL <= APC_LEVEL. */
NTKERNELAPI void MmFreePagesFromMdl(PMDL mdl);
/* An MDL for length bytes at va, pages not yet filled in. irp is NULL. Freed with IoFreeMdl. */
NTKERNELAPI PMDL IoAllocateMdl(PVOID va, ULONG length, BOOLEAN secondary, BOOLEAN charge_quota,
                               PVOID irp);
NTKERNELAPI void IoFreeMdl(PMDL mdl);
/* Fills in the pages of an IoAllocateMdl MDL that lies in nonpaged pool. IRQL <= DISPATCH_LEVEL. */
NTKERNELAPI void MmBuildMdlForNonPagedPool(PMDL mdl);
/* The system address of the MDL's bytes, NULL when it can't be mapped. requested: NULL. */
NTKERNELAPI PVOID MmMapLockedPagesSpecifyCache(PMDL mdl, KPROCESSOR_MODE mode,
                                               MEMORY_CACHING_TYPE cache, PVOID requested,
                                               ULONG bug_check_on_failure, ULONG priority);
NTKERNELAPI void MmUnmapLockedPages(PVOID va, PMDL mdl);
/* MM_PAGE_PRIORITY, may carry MdlMappingNoExecute and MdlMappingNoWrite. */
FORCEINLINE PVOID MmGetSystemAddressForMdlSafe(PMDL mdl, ULONG priority)
{
    if (mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL))
        return mdl->MappedSystemVa;
    return MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, priority);
}
/* Physical address of a system address that lies in pool or MDL pages. IRQL: any. */
NTKERNELAPI PHYSICAL_ADDRESS MmGetPhysicalAddress(PVOID va);

/* ---- Time. */

/* A monotonic counter; *frequency (may be NULL) gets its ticks a second. IRQL: any. */
NTKERNELAPI LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER frequency);
/* 100 ns since boot. */
NTKERNELAPI ULONGLONG KeQueryInterruptTime(void);
/* Busy-waits; at most 50 us is sensible. IRQL: any. */
NTKERNELAPI void KeStallExecutionProcessor(ULONG microseconds);
/* Sleeps, PASSIVE_LEVEL and APC_LEVEL only; interval as in KeWaitForSingleObject. */
NTKERNELAPI NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN alertable,
                                            PLARGE_INTEGER interval);

/* ---- Device registers. The address comes from DxgkCbMapMemory; plain loads and stores fault. */

NTKERNELAPI UCHAR READ_REGISTER_UCHAR(volatile UCHAR *reg);
NTKERNELAPI USHORT READ_REGISTER_USHORT(volatile USHORT *reg);
NTKERNELAPI ULONG READ_REGISTER_ULONG(volatile ULONG *reg);
NTKERNELAPI ULONG64 READ_REGISTER_ULONG64(volatile ULONG64 *reg);
NTKERNELAPI void WRITE_REGISTER_UCHAR(volatile UCHAR *reg, UCHAR value);
NTKERNELAPI void WRITE_REGISTER_USHORT(volatile USHORT *reg, USHORT value);
NTKERNELAPI void WRITE_REGISTER_ULONG(volatile ULONG *reg, ULONG value);
NTKERNELAPI void WRITE_REGISTER_ULONG64(volatile ULONG64 *reg, ULONG64 value);
/* count is in items, register address rising with the buffer's. */
NTKERNELAPI void READ_REGISTER_BUFFER_UCHAR(volatile UCHAR *reg, PUCHAR buffer, ULONG count);
NTKERNELAPI void READ_REGISTER_BUFFER_ULONG(volatile ULONG *reg, PULONG buffer, ULONG count);
NTKERNELAPI void READ_REGISTER_BUFFER_ULONG64(volatile ULONG64 *reg, PULONG64 buffer, ULONG count);
NTKERNELAPI void WRITE_REGISTER_BUFFER_UCHAR(volatile UCHAR *reg, PUCHAR buffer, ULONG count);
NTKERNELAPI void WRITE_REGISTER_BUFFER_ULONG(volatile ULONG *reg, PULONG buffer, ULONG count);
NTKERNELAPI void WRITE_REGISTER_BUFFER_ULONG64(volatile ULONG64 *reg, PULONG64 buffer, ULONG count);

/* ---- Memory and lists. */

#define RtlCopyMemory(dst, src, len) ((void)__builtin_memcpy((dst), (src), (len)))
#define RtlMoveMemory(dst, src, len) ((void)__builtin_memmove((dst), (src), (len)))
#define RtlZeroMemory(dst, len) ((void)__builtin_memset((dst), 0, (len)))
#define RtlFillMemory(dst, len, fill) ((void)__builtin_memset((dst), (fill), (len)))
#define RtlEqualMemory(a, b, len) (__builtin_memcmp((a), (b), (len)) == 0)

FORCEINLINE void InitializeListHead(PLIST_ENTRY head)
{
    head->Flink = head;
    head->Blink = head;
}

FORCEINLINE BOOLEAN IsListEmpty(const LIST_ENTRY *head)
{
    return head->Flink == head;
}

FORCEINLINE void InsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    entry->Flink = head->Flink;
    entry->Blink = head;
    head->Flink->Blink = entry;
    head->Flink = entry;
}

FORCEINLINE void InsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    entry->Flink = head;
    entry->Blink = head->Blink;
    head->Blink->Flink = entry;
    head->Blink = entry;
}

/* TRUE when the list the entry was in is empty afterwards. */
FORCEINLINE BOOLEAN RemoveEntryList(PLIST_ENTRY entry)
{
    entry->Blink->Flink = entry->Flink;
    entry->Flink->Blink = entry->Blink;
    return entry->Flink == entry->Blink;
}

FORCEINLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Flink;

    (void)RemoveEntryList(entry);
    return entry;
}

FORCEINLINE PLIST_ENTRY RemoveTailList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Blink;

    (void)RemoveEntryList(entry);
    return entry;
}

/* ---- Interlocked operations: all are full barriers. */

FORCEINLINE LONG InterlockedIncrement(volatile LONG *p)
{
    return __atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedDecrement(volatile LONG *p)
{
    return __atomic_sub_fetch(p, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedAdd(volatile LONG *p, LONG v)
{
    return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedExchange(volatile LONG *p, LONG v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedExchangeAdd(volatile LONG *p, LONG v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedCompareExchange(volatile LONG *p, LONG v, LONG comparand)
{
    (void)__atomic_compare_exchange_n(p, &comparand, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return comparand;
}
FORCEINLINE LONG InterlockedOr(volatile LONG *p, LONG v)
{
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedAnd(volatile LONG *p, LONG v)
{
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedIncrement64(volatile LONG64 *p)
{
    return __atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedDecrement64(volatile LONG64 *p)
{
    return __atomic_sub_fetch(p, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedAdd64(volatile LONG64 *p, LONG64 v)
{
    return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedExchange64(volatile LONG64 *p, LONG64 v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedExchangeAdd64(volatile LONG64 *p, LONG64 v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedCompareExchange64(volatile LONG64 *p, LONG64 v, LONG64 comparand)
{
    (void)__atomic_compare_exchange_n(p, &comparand, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return comparand;
}
FORCEINLINE LONG64 InterlockedOr64(volatile LONG64 *p, LONG64 v)
{
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedAnd64(volatile LONG64 *p, LONG64 v)
{
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE PVOID InterlockedExchangePointer(PVOID volatile *p, PVOID v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}
FORCEINLINE PVOID InterlockedCompareExchangePointer(PVOID volatile *p, PVOID v, PVOID comparand)
{
    (void)__atomic_compare_exchange_n(p, &comparand, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return comparand;
}
FORCEINLINE LONG ReadAcquire(const volatile LONG *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteRelease(volatile LONG *p, LONG v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}
FORCEINLINE LONG64 ReadAcquire64(const volatile LONG64 *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
FORCEINLINE void WriteRelease64(volatile LONG64 *p, LONG64 v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

#define MemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define KeMemoryBarrier() MemoryBarrier()
#define YieldProcessor() __builtin_ia32_pause()

/* ---- Debug output. Lines go to the host's log. printf formats as on Windows: %wZ and %ws are not
 * known. */

#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3
#define DPFLTR_IHVVIDEO_ID 78
#define DPFLTR_IHVDRIVER_ID 77

#ifdef _WIN32
#define WDDM_PRINTF(fmt, first)
#else
#define WDDM_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#endif
NTKERNELAPI ULONG DbgPrint(PCSTR format, ...) WDDM_PRINTF(1, 2);
NTKERNELAPI ULONG DbgPrintEx(ULONG component, ULONG level, PCSTR format, ...) WDDM_PRINTF(3, 4);
NTKERNELAPI ULONG vDbgPrintEx(ULONG component, ULONG level, PCSTR format, va_list args);
#define KdPrint(parenthesised) ((void)DbgPrint parenthesised)

/* ---- Driver and device objects, hardware resources. */

typedef struct _DEVICE_OBJECT DEVICE_OBJECT, *PDEVICE_OBJECT;

/* ---- Work items: a DPC's way to PASSIVE_LEVEL. */

typedef struct _IO_WORKITEM *PIO_WORKITEM;
typedef enum _WORK_QUEUE_TYPE {
    CriticalWorkQueue = 0,
    DelayedWorkQueue = 1,
    HyperCriticalWorkQueue = 2,
    NormalWorkQueue = 3
} WORK_QUEUE_TYPE;
typedef void IO_WORKITEM_ROUTINE(PDEVICE_OBJECT device, PVOID context);
typedef IO_WORKITEM_ROUTINE *PIO_WORKITEM_ROUTINE;

/* NULL when out of memory. IRQL <= DISPATCH_LEVEL. */
NTKERNELAPI PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT device);
/* The item must not be queued; its routine may still run and may free it itself. */
NTKERNELAPI void IoFreeWorkItem(PIO_WORKITEM item);
/*
 * Has `routine` called once at PASSIVE_LEVEL by a thread of the system. An item may be queued again as
 * soon as its routine has begun, not before. The image stays loaded until the routine has returned.
 * IRQL <= DISPATCH_LEVEL.
 */
NTKERNELAPI void IoQueueWorkItem(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine,
                                 WORK_QUEUE_TYPE queue, PVOID context);
typedef struct _DRIVER_OBJECT DRIVER_OBJECT, *PDRIVER_OBJECT;
typedef struct _IRP IRP, *PIRP;
typedef NTSTATUS DRIVER_INITIALIZE(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);
typedef DRIVER_INITIALIZE *PDRIVER_INITIALIZE;
typedef void DRIVER_UNLOAD(PDRIVER_OBJECT driver);
typedef DRIVER_UNLOAD *PDRIVER_UNLOAD;
typedef NTSTATUS (*PDRIVER_DISPATCH)(PDEVICE_OBJECT device, PIRP irp);
#define IRP_MJ_MAXIMUM_FUNCTION 0x1b

struct _DRIVER_OBJECT {
    CSHORT Type;
    CSHORT Size;
    PDEVICE_OBJECT DeviceObject;
    ULONG Flags;
    PVOID DriverStart;
    ULONG DriverSize;
    PVOID DriverSection;
    PVOID DriverExtension;
    UNICODE_STRING DriverName;
    PUNICODE_STRING HardwareDatabase;
    PVOID FastIoDispatch;
    PDRIVER_INITIALIZE DriverInit;
    PVOID DriverStartIo;
    PDRIVER_UNLOAD DriverUnload;
    PDRIVER_DISPATCH MajorFunction[IRP_MJ_MAXIMUM_FUNCTION + 1];
};
C_ASSERT(sizeof(DRIVER_OBJECT) == 336);

/* Exported by every KMD; its first act of note is DxgkInitialize. PASSIVE_LEVEL. */
DECLSPEC_EXPORT DRIVER_INITIALIZE DriverEntry;

typedef BOOLEAN KSYNCHRONIZE_ROUTINE(PVOID context);
typedef KSYNCHRONIZE_ROUTINE *PKSYNCHRONIZE_ROUTINE;

typedef enum _DEVICE_POWER_STATE {
    PowerDeviceUnspecified = 0,
    PowerDeviceD0 = 1,
    PowerDeviceD1 = 2,
    PowerDeviceD2 = 3,
    PowerDeviceD3 = 4,
    PowerDeviceMaximum = 5
} DEVICE_POWER_STATE,
    *PDEVICE_POWER_STATE;

typedef enum {
    PowerActionNone = 0,
    PowerActionReserved = 1,
    PowerActionSleep = 2,
    PowerActionHibernate = 3,
    PowerActionShutdown = 4,
    PowerActionShutdownReset = 5,
    PowerActionShutdownOff = 6,
    PowerActionWarmEject = 7,
    PowerActionDisplayOff = 8
} POWER_ACTION;

typedef enum _INTERFACE_TYPE {
    InterfaceTypeUndefined = -1,
    Internal = 0,
    Isa = 1,
    PCIBus = 5,
    PNPBus = 15
} INTERFACE_TYPE;

#define CmResourceTypeNull 0
#define CmResourceTypePort 1
#define CmResourceTypeInterrupt 2
#define CmResourceTypeMemory 3
#define CmResourceTypeDma 4
#define CmResourceTypeMemoryLarge 7

#define CmResourceShareUndetermined 0
#define CmResourceShareDeviceExclusive 1
#define CmResourceShareDriverExclusive 2
#define CmResourceShareShared 3

#define CM_RESOURCE_MEMORY_READ_WRITE 0x0000
#define CM_RESOURCE_MEMORY_READ_ONLY 0x0001
#define CM_RESOURCE_MEMORY_PREFETCHABLE 0x0004
#define CM_RESOURCE_MEMORY_BAR 0x0080
#define CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE 0x0000
#define CM_RESOURCE_INTERRUPT_LATCHED 0x0001
#define CM_RESOURCE_INTERRUPT_MESSAGE 0x0002

/* Windows packs these to 4 bytes: a descriptor is 20 bytes. */
#pragma pack(push, 4)
typedef struct _CM_PARTIAL_RESOURCE_DESCRIPTOR {
    UCHAR Type;
    UCHAR ShareDisposition;
    USHORT Flags;
    union {
        struct {
            PHYSICAL_ADDRESS Start;
            ULONG Length;
        } Generic;
        struct {
            PHYSICAL_ADDRESS Start;
            ULONG Length;
        } Port;
        struct {
            USHORT Level;
            USHORT Group;
            ULONG Vector;
            KAFFINITY Affinity;
        } Interrupt;
        struct {
            union {
                struct {
                    USHORT Group;
                    USHORT MessageCount;
                    ULONG Vector;
                    KAFFINITY Affinity;
                } Raw;
                struct {
                    USHORT Level;
                    USHORT Group;
                    ULONG Vector;
                    KAFFINITY Affinity;
                } Translated;
            };
        } MessageInterrupt;
        struct {
            PHYSICAL_ADDRESS Start;
            ULONG Length;
        } Memory;
        struct {
            ULONG Data[3];
        } DevicePrivate;
    } u;
} CM_PARTIAL_RESOURCE_DESCRIPTOR, *PCM_PARTIAL_RESOURCE_DESCRIPTOR;

typedef struct _CM_PARTIAL_RESOURCE_LIST {
    USHORT Version;
    USHORT Revision;
    ULONG Count;
    CM_PARTIAL_RESOURCE_DESCRIPTOR PartialDescriptors[1];
} CM_PARTIAL_RESOURCE_LIST, *PCM_PARTIAL_RESOURCE_LIST;

typedef struct _CM_FULL_RESOURCE_DESCRIPTOR {
    INTERFACE_TYPE InterfaceType;
    ULONG BusNumber;
    CM_PARTIAL_RESOURCE_LIST PartialResourceList;
} CM_FULL_RESOURCE_DESCRIPTOR, *PCM_FULL_RESOURCE_DESCRIPTOR;

typedef struct _CM_RESOURCE_LIST {
    ULONG Count;
    CM_FULL_RESOURCE_DESCRIPTOR List[1];
} CM_RESOURCE_LIST, *PCM_RESOURCE_LIST;
#pragma pack(pop)
C_ASSERT(sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR) == 20);
C_ASSERT(sizeof(CM_RESOURCE_LIST) == 40);

typedef void (*PINTERFACE_REFERENCE)(PVOID context);
typedef void (*PINTERFACE_DEREFERENCE)(PVOID context);

typedef struct _INTERFACE {
    USHORT Size;
    USHORT Version;
    PVOID Context;
    PINTERFACE_REFERENCE InterfaceReference;
    PINTERFACE_DEREFERENCE InterfaceDereference;
} INTERFACE, *PINTERFACE;

#define PCI_TYPE0_ADDRESSES 6

#ifdef __cplusplus
}
#endif

#endif
