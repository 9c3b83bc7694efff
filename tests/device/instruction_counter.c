/* Counts the guest's instructions in qemu's user emulation, for tests/device/instructions.sh.
 *
 * At every call of getpgid, which nothing else here makes, the number of instructions that all threads have executed so
 * far is appended to a file: a program marks with os.getpgid(0) where its work begins and ends.
 *
 * gcc -shared -fPIC -O2 -o instruction_counter.so instruction_counter.c
 * qemu-aarch64 -plugin instruction_counter.so,out=FILE PROGRAM ...
 *
 * The functions are those of qemu-plugin.h, which no package of Debian 12 has, so gcc and libc6-dev are enough.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct block;

extern size_t qemu_plugin_tb_n_insns(const struct block *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id id, struct block *block));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct block *block, void (*call)(unsigned thread, void *data),
                                                 int registers, void *data);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id id,
                                                 void (*call)(plugin_id id, unsigned thread, int64_t number, uint64_t,
                                                              uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                              uint64_t, uint64_t));

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { GETPGID = 155, /* in the system call table of aarch64 */
       THREADS = 1024 };

/* one counter a thread, each in a cache line of its own: threads count at the same time */
static struct { uint64_t count; char padding[56]; } executed[THREADS];
static FILE *out;

static void count_block(unsigned thread, void *instructions)
{
    executed[thread % THREADS].count += (uintptr_t)instructions;
}

/* a block is translated once and executed often: its length is known before */
static void translated(plugin_id id, struct block *block)
{
    qemu_plugin_register_vcpu_tb_exec_cb(block, count_block, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void system_call(plugin_id id, unsigned thread, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                        uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    if (number != GETPGID)
        return;
    uint64_t total = 0;
    for (int each = 0; each < THREADS; each++)
        total += executed[each].count;
    fprintf(out, "%" PRIu64 "\n", total);
    fflush(out);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || !(out = fopen(argv[0] + 4, "w"))) {
        fprintf(stderr, "instruction_counter: expected out=FILE, a file that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    return 0;
}
