/* The switch for x86-64 (System V): see run/switch.h. */
#if defined(__x86_64__) && !defined(WEIR_SWITCH_UCONTEXT)

    .text

/* void context_switch(struct context *from, const struct context *to)
 *
 * The unwinding notes hold before and after the stack is changed, because every stopped stack has
 * this very shape; a debugger that is told the other stack pointer at context_resume can walk it. */
    .globl context_switch
    .hidden context_switch
    .type context_switch, @function
    .p2align 4
context_switch:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    .globl context_resume
    .hidden context_resume
context_resume:
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret
    .cfi_endproc
    .size context_switch, . - context_switch

/* Where a new stack begins; the caller's address is "undefined", so that a backtrace ends here. */
    .globl context_begin
    .hidden context_begin
    .type context_begin, @function
    .p2align 4
context_begin:
    .cfi_startproc
    .cfi_undefined %rip
    xorl %ebp, %ebp
    movq %r12, %rdi
    call *%rbx
    ud2
    .cfi_endproc
    .size context_begin, . - context_begin

#endif

#ifdef __ELF__
    .section .note.GNU-stack, "", %progbits
#endif
