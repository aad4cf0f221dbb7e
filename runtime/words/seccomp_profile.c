#include "runtime/words/seccomp_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "runtime/image/json.h"

/* System calls that no container is hurt by. Left out on purpose: keys, io_uring, userfaultfd,
 * kexec, swap, and calls that only old kernels had. */
static const char always_allowed[] =
    "_llseek _newselect accept accept4 access adjtimex alarm arch_prctl bind brk "
    "cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 "
    "clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 "
    "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd "
    "eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 "
    "fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat "
    "fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock fork "
    "fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate "
    "ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake "
    "futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid "
    "getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer "
    "getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid "
    "getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt "
    "gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch "
    "inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents "
    "io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set "
    "ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown "
    "lchown32 lgetxattr link linkat listen listxattr listxattrat llistxattr lremovexattr "
    "lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create "
    "memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 "
    "modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive "
    "mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal "
    "msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at "
    "nanosleep newfstatat nice open openat openat2 pause pidfd_open pidfd_send_signal "
    "pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 "
    "preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev "
    "pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink "
    "readlinkat readv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages "
    "removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe "
    "rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr "
    "sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield "
    "seccomp select semctl semget semop semtimedop semtimedop_time64 sendfile sendfile64 "
    "sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid "
    "setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer "
    "setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 "
    "setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat "
    "shmat shmctl shmdt shmget shutdown sigaction sigaltstack signalfd signalfd4 "
    "sigpending sigprocmask sigreturn sigsuspend socketcall socketpair splice stat stat64 "
    "statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo tee "
    "tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask "
    "uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork "
    "vmsplice wait4 waitid waitpid write writev";

/* Allowed when the container has one of these capabilities; the kernel checks them as well. */
static const struct {
    const char *capability;
    const char *names;
} gated[] = {
    {"CAP_SYS_ADMIN",
     "bpf fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie "
     "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
     "open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname "
     "sethostname setns statmount syslog umount umount2 unshare"},
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "ioperm iopl"},
    {"CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
};

/* Namespace flags of clone(2) that make a container able to nest; not for everyone. */
enum { CLONE_NAMESPACES = 0x7E020000 };

static json_t *split_names(const char *names)
{
    json_t *list = json_array();
    for (const char *at = names; *at != '\0';) {
        size_t size = strcspn(at, " ");
        json_array_append_new(list, json_stringn(at, size));
        at += size + strspn(at + size, " ");
    }
    return list;
}

static void add_rule(json_t *rules, const char *names, const char *action, json_t *arguments)
{
    json_t *rule = json_pack("{so ss}", "names", split_names(names), "action", action);
    if (arguments != NULL) {
        json_object_set_new(rule, "args", arguments);
    }
    json_array_append_new(rules, rule);
}

static json_t *argument(unsigned index, int64_t value, int64_t value_two, const char *operator)
{
    return json_pack("[{sI sI sI ss}]", "index", (json_int_t)index, "value", (json_int_t)value,
                     "valueTwo", (json_int_t)value_two, "op", operator);
}

static bool has_capability(const json_t *capabilities, const char *name)
{
    for (size_t i = 0; i < json_array_size(capabilities); i++) {
        const char *one = json_string_value(json_array_get(capabilities, i));
        if (one != NULL && strcmp(one, name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_conditional(json_t *rules, const json_t *capabilities)
{
    static const int64_t harmless_personalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
    for (size_t i = 0; i < sizeof(harmless_personalities) / sizeof(harmless_personalities[0]);
         i++) {
        add_rule(rules, "personality", "SCMP_ACT_ALLOW",
                 argument(0, harmless_personalities[i], 0, "SCMP_CMP_EQ"));
    }
    /* Not AF_ALG (38, CVE-2026-31431) and not AF_VSOCK (40). */
    add_rule(rules, "socket", "SCMP_ACT_ALLOW", argument(0, 38, 0, "SCMP_CMP_LT"));
    add_rule(rules, "socket", "SCMP_ACT_ALLOW", argument(0, 39, 0, "SCMP_CMP_EQ"));
    add_rule(rules, "socket", "SCMP_ACT_ALLOW", argument(0, 40, 0, "SCMP_CMP_GT"));
    if (has_capability(capabilities, "CAP_SYS_ADMIN")) {
        add_rule(rules, "clone clone3", "SCMP_ACT_ALLOW", NULL);
        return;
    }
    add_rule(rules, "clone", "SCMP_ACT_ALLOW",
             argument(0, CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ"));
    /* Its flags are behind a pointer: ENOSYS makes C libraries fall back to clone. */
    json_array_append_new(rules, json_pack("{s[s] ss si}", "names", "clone3", "action",
                                           "SCMP_ACT_ERRNO", "errnoRet", ENOSYS));
}

static json_t *architectures(void)
{
    struct utsname machine;
    if (uname(&machine) == 0 && strcmp(machine.machine, "aarch64") == 0) {
        return json_pack("[ss]", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM");
    }
    return json_pack("[sss]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32");
}

json_t *seccomp_profile_default(const json_t *capabilities)
{
    json_t *rules = json_array();
    add_rule(rules, always_allowed, "SCMP_ACT_ALLOW", NULL);
    for (size_t i = 0; i < sizeof(gated) / sizeof(gated[0]); i++) {
        if (has_capability(capabilities, gated[i].capability)) {
            add_rule(rules, gated[i].names, "SCMP_ACT_ALLOW", NULL);
        }
    }
    add_conditional(rules, capabilities);
    return json_pack("{ss si so so}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet", EPERM,
                     "architectures", architectures(), "syscalls", rules);
}
