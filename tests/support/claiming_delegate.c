/* A TFLite external delegate for the tests: it claims every operator of one kind and runs the runtime's own kernel for it.
 *
 * Options: op, the builtin code of the operators to claim (0 is ADD); wrong=1, overwrite the first output with a
 * pattern; dynamic=1, allow changes of the graph after the delegate was applied; crash=1. Others are refused.
 *
 * The runtimes' packages ship no headers. The structs below are declared after TFLite's public C API (core/c/common.h), as
 * far as a delegate without tensors of its own needs them; both LiteRT 2.3 and tflite-runtime 2.14 have this layout.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, ERROR = 1 };

typedef struct {
    int size;
    int data[];
} IntArray;

typedef struct {
    int type;
    void *data;
    IntArray *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    /* the rest is not read, but counts for the size of the array's elements */
    const void *allocation;
    const char *name;
    void *delegate;
    int buffer_handle;
    char data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;

typedef struct {
    IntArray *inputs, *outputs, *intermediates, *temporaries;
    void *user_data, *builtin_data;
    const void *custom_data;
    int custom_size;
    void *delegate;
    char might_have_side_effect;
} Node;

struct Context;

typedef struct {
    void *(*init)(struct Context *, const char *buffer, size_t length);
    void (*free)(struct Context *, void *data);
    int (*prepare)(struct Context *, Node *);
    int (*invoke)(struct Context *, Node *);
    const char *(*profiling_string)(const struct Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *external, *async_kernel;
    uint64_t inplace_operator;
} Registration;

typedef struct Delegate {
    void *data;
    int (*prepare)(struct Context *, struct Delegate *);
    void *copy_from_buffer, *copy_to_buffer, *free_buffer;
    int64_t flags;
    void *opaque_builder;
} Delegate;

typedef struct Context {
    size_t tensors_size;
    int (*get_execution_plan)(struct Context *, IntArray **plan);
    Tensor *tensors;
    void *impl;
    int (*resize_tensor)(struct Context *, Tensor *, IntArray *size);
    void (*report_error)(struct Context *, const char *message, ...);
    int (*add_tensors)(struct Context *, int count, int *first);
    int (*get_node)(struct Context *, int index, Node **, Registration **);
    int (*replace_nodes)(struct Context *, Registration, const IntArray *nodes, Delegate *);
} Context;

/* what the kernel's init is given in place of a buffer */
typedef struct {
    Delegate *delegate;
    IntArray *nodes, *inputs, *outputs;
} Params;

enum { MAX_NODES = 512 };
static int operator_kind, is_wrong;

int invocations; /* of claimed operators; the tests read it */

/* A part of a graph that the delegate was given: copies, as the graph's own array of nodes moves when it grows. */
typedef struct {
    int size;
    Node nodes[MAX_NODES];
    Registration kernels[MAX_NODES];
} Part;

static void *keep_nodes(Context *context, const char *buffer, size_t length) {
    const IntArray *nodes = ((const Params *)buffer)->nodes;
    Part *part = malloc(sizeof(Part));
    for (part->size = 0; part->size < nodes->size; part->size++) {
        Node *node;
        Registration *kernel;
        if (context->get_node(context, nodes->data[part->size], &node, &kernel)) abort();
        part->nodes[part->size] = *node;
        part->kernels[part->size] = *kernel;
    }
    return part;
}

static void free_nodes(Context *context, void *part) { free(part); }

static int prepare_nodes(Context *context, Node *own) {
    Part *part = own->user_data;
    for (int i = 0; i < part->size; i++)
        if (part->kernels[i].prepare(context, &part->nodes[i])) return ERROR;
    return OK;
}

static int invoke_nodes(Context *context, Node *own) {
    Part *part = own->user_data;
    for (int i = 0; i < part->size; i++, invocations++)
        if (part->kernels[i].invoke(context, &part->nodes[i])) return ERROR;
    if (is_wrong) {
        Tensor *output = &context->tensors[own->outputs->data[0]];
        for (size_t i = 0; i < output->bytes; i++) ((int8_t *)output->data)[i] = (int8_t)(37 * i);
    }
    return OK;
}

static int claim(Context *context, Delegate *delegate) {
    struct { int size, data[MAX_NODES]; } chosen = {0};
    IntArray *plan;
    if (context->get_execution_plan(context, &plan)) return ERROR;
    for (int i = 0; i < plan->size && chosen.size < MAX_NODES; i++) {
        Node *node;
        Registration *kernel;
        if (context->get_node(context, plan->data[i], &node, &kernel)) return ERROR;
        if (kernel->builtin_code == operator_kind) chosen.data[chosen.size++] = plan->data[i];
    }
    Registration own = {
        .init = keep_nodes, .free = free_nodes, .prepare = prepare_nodes, .invoke = invoke_nodes, .custom_name = "Claiming", .version = 1};
    return context->replace_nodes(context, own, (const IntArray *)&chosen, delegate);
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report_error)(const char *)) {
    static Delegate delegates[64];
    static int created;
    Delegate *delegate = &delegates[created++ % 64];
    *delegate = (Delegate){.prepare = claim};
    operator_kind = is_wrong = 0;
    for (size_t i = 0; i < count; i++) {
        int number = 0;
        for (const char *digit = values[i]; *digit; digit++) number = 10 * number + (*digit - '0');
        if (!strcmp(keys[i], "op")) operator_kind = number;
        else if (!strcmp(keys[i], "wrong")) is_wrong = number;
        else if (!strcmp(keys[i], "dynamic")) delegate->flags = number;
        else if (!strcmp(keys[i], "crash") && number) abort();
        else return report_error("unknown option"), NULL;
    }
    return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {}
