// SPDX-License-Identifier: Apache-2.0
/* What runs inside QEMU beside which moves are measured: no system, one processor, flat memory.
 * It fills `pages=N` pages from 16 MiB on, says so by its serial line, and then rewrites random
 * ones of the first `hot=N`, as many as `pace=N` allows: 65536ths of a byte for each tick of its
 * clock. Every quarter of a second it says how many pages it has written in all. Without a pace it
 * idles. */
#include <stdint.h>

#define MULTIBOOT_MAGIC 0x1badb002u
#define PAGE 4096u
#define SPACE 0x1000000u /* where what it fills begins */
#define SERIAL 0x3f8u
#define SERIAL_STATUS (SERIAL + 5)
#define SERIAL_READY 0x20u
/* The HPET, which stands while the machine does: what is slept through is no time to catch up. */
#define HPET 0xfed00000u
#define HPET_ENABLE (HPET + 0x10)
#define HPET_COUNTER (HPET + 0xf0)
#define TICKS_PER_S 100000000u
/* Who was not let run for long does not make up for all of it. */
#define MOST_BEHIND ((uint64_t)256 * PAGE << 16)

struct boot {
    uint32_t flags;
    uint32_t unused[3];
    const char *command;
};

__attribute__((section(".multiboot"), used)) static const uint32_t multiboot[] = {
    MULTIBOOT_MAGIC, 0, 0u - MULTIBOOT_MAGIC};

static uint8_t stack[16384] __attribute__((aligned(16), used));

__asm__(".globl _start\n"
        "_start:\n"
        "    movl %cr4, %eax\n"
        "    orl $0x600, %eax\n" /* OSFXSR, OSXMMEXCPT: SSE may be used */
        "    movl %eax, %cr4\n"
        "    movl $stack + 16384, %esp\n"
        "    pushl %ebx\n"
        "    call run\n");

void run(const struct boot *boot);

static volatile uint32_t *at(uint32_t address)
{
    return (volatile uint32_t *)address;
}

static void put(char c)
{
    uint8_t status;

    do
        __asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((uint16_t)SERIAL_STATUS));
    while ((status & SERIAL_READY) == 0);
    __asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)SERIAL));
}

static void say(uint32_t number)
{
    char digits[10];
    int count = 0;

    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0)
        put(digits[--count]);
    put('\n');
}

/* The number behind `name` in the command line; 0 where it is not. */
static uint32_t option(const char *line, const char *name)
{
    for (; *line != '\0'; line++) {
        uint32_t value = 0;
        const char *l = line;

        for (const char *n = name; *n != '\0' && *l == *n; n++)
            l++;
        if (l == line || l[-1] != '=')
            continue;
        for (; *l >= '0' && *l <= '9'; l++)
            value = value * 10 + (uint32_t)(*l - '0');
        return value;
    }
    return 0;
}

/* By 16 bytes: an emulated processor takes long for each store, however small. */
static void write_page(uint32_t page, uint32_t word)
{
    uint32_t to = SPACE + page * PAGE;
    uint32_t end = to + PAGE;

    __asm__ volatile("movd %2, %%xmm0\n"
                     "pshufd $0, %%xmm0, %%xmm0\n"
                     "1: movaps %%xmm0, (%0)\n"
                     "movaps %%xmm0, 16(%0)\n"
                     "movaps %%xmm0, 32(%0)\n"
                     "movaps %%xmm0, 48(%0)\n"
                     "addl $64, %0\n"
                     "cmpl %1, %0\n"
                     "jne 1b"
                     : "+r"(to)
                     : "r"(end), "r"(word)
                     : "memory", "cc");
}

void run(const struct boot *boot)
{
    uint32_t pages = option(boot->command, "pages=");
    uint32_t hot = option(boot->command, "hot=");
    uint32_t pace = option(boot->command, "pace=");
    uint32_t random = 0x9e3779b9u;
    uint32_t written = 0;
    uint32_t before;
    uint32_t told;
    uint64_t owed = 0;

    for (uint32_t i = 0; i < pages; i++)
        write_page(i, i + 1); /* none of zeros */
    *at(HPET_ENABLE) |= 1;
    before = told = *at(HPET_COUNTER);
    say(0);
    while (pace == 0)
        __asm__ volatile("cli\nhlt");
    for (;;) {
        uint32_t now = *at(HPET_COUNTER);

        owed += (uint64_t)(now - before) * pace;
        before = now;
        if (owed > MOST_BEHIND)
            owed = MOST_BEHIND;
        for (; owed >= (uint64_t)PAGE << 16; owed -= (uint64_t)PAGE << 16) {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            write_page((uint32_t)(((uint64_t)random * hot) >> 32), ++written + pages);
        }
        if (now - told >= TICKS_PER_S / 4) {
            told = now;
            say(written);
        }
    }
}
