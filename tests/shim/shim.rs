//! A library that is loaded before all others into the processes of a test's server: it sets their clock, and fills
//! their disk. The test says what it wants through a small file that all of them have mapped.
//!
//! Only calls of the C library are taken over that the server makes for this. Everything else goes on as it is: the
//! clock that timers and sleeps go by, files that do not grow.
//!
//! Compiled by `tests/src/shim.rs` when a test asks for it; it needs nothing but libc.

#![deny(clippy::undocumented_unsafe_blocks)]

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, Ordering};

/// What the file holds.
#[repr(C)]
struct Control {
    /// Nanoseconds that the clock is ahead of real time.
    ahead: AtomicI64,
    /// 1: the files of tables cannot grow; 2: neither can those of the write-ahead log.
    full: AtomicU64,
}

/// struct timespec
#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// struct timeval
#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: i64,
}

/// struct iovec
#[repr(C)]
pub struct Buffer {
    start: *const c_void,
    length: usize,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn mmap(
        at: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn readlink(path: *const c_char, buffer: *mut c_char, size: usize) -> isize;
    fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64;
    fn __errno_location() -> *mut c_int;
}

#[cfg(target_arch = "x86_64")]
mod number {
    pub const WRITE: i64 = 1;
    pub const PWRITE: i64 = 18;
    pub const PWRITEV: i64 = 296;
    pub const CLOCK_GETTIME: i64 = 228;
    pub const FALLOCATE: i64 = 285;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const WRITE: i64 = 64;
    pub const PWRITE: i64 = 68;
    pub const PWRITEV: i64 = 70;
    pub const CLOCK_GETTIME: i64 = 113;
    pub const FALLOCATE: i64 = 47;
}

const ENOSPC: c_int = 28;
/// CLOCK_REALTIME, and the coarse one.
const WALL_CLOCKS: [c_int; 2] = [0, 5];
const SECOND: i64 = 1_000_000_000;

static CONTROL: AtomicPtr<Control> = AtomicPtr::new(std::ptr::null_mut());
/// Stands in when there is no file.
static NOTHING: Control = Control {
    ahead: AtomicI64::new(0),
    full: AtomicU64::new(0),
};

fn control() -> &'static Control {
    let known = CONTROL.load(Ordering::Acquire);
    if !known.is_null() {
        // SAFETY: set below, and never unmapped.
        return unsafe { &*known };
    }
    // SAFETY: plain calls with C strings; the map is as large as the file that the test has made.
    unsafe {
        let path = getenv(c"WF_SHIM".as_ptr());
        let fd = if path.is_null() { -1 } else { open(path, 0) };
        let mapped = if fd < 0 {
            -1isize as *mut c_void
        } else {
            // Readable, shared.
            let mapped = mmap(std::ptr::null_mut(), size_of::<Control>(), 1, 1, fd, 0);
            close(fd);
            mapped
        };
        let found = if mapped as isize == -1 {
            &raw const NOTHING as *mut Control
        } else {
            mapped.cast()
        };
        CONTROL.store(found, Ordering::Release);
        &*found
    }
}

/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    // SAFETY: the caller's pointer goes to the kernel, which checks it; after a success it can be written.
    unsafe {
        let result = syscall(number::CLOCK_GETTIME, clock, time) as c_int;
        if result == 0 && WALL_CLOCKS.contains(&clock) {
            let ahead = control().ahead.load(Ordering::Relaxed);
            let nanoseconds = (*time).nanoseconds + ahead.rem_euclid(SECOND);
            (*time).seconds += ahead.div_euclid(SECOND) + nanoseconds / SECOND;
            (*time).nanoseconds = nanoseconds % SECOND;
        }
        result
    }
}

/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut Timeval, _zone: *mut c_void) -> c_int {
    let mut now = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the caller's pointer may be null, and is good otherwise.
    unsafe {
        let result = clock_gettime(0, &mut now);
        if !time.is_null() {
            (*time).seconds = now.seconds;
            (*time).microseconds = now.nanoseconds / 1000;
        }
        result
    }
}

/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(out: *mut i64) -> i64 {
    let mut now = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the caller's pointer may be null, and is good otherwise.
    unsafe {
        clock_gettime(0, &mut now);
        if !out.is_null() {
            *out = now.seconds;
        }
    }
    now.seconds
}

/// Whether a write that ends there finds no room.
fn no_room(fd: c_int, end: i64) -> bool {
    let full = control().full.load(Ordering::Relaxed);
    if full == 0 {
        return false;
    }
    let mut path = [0u8; 512];
    let link = format!("/proc/self/fd/{fd}\0");
    // SAFETY: a C string, and a buffer with its size.
    let length = unsafe { readlink(link.as_ptr().cast(), path.as_mut_ptr().cast(), path.len()) };
    let path = &path[..usize::try_from(length).unwrap_or(0)];
    let holds = |part: &[u8]| path.windows(part.len()).any(|window| window == part);
    if !(holds(b"/base/") || full > 1 && holds(b"/pg_wal/")) {
        return false;
    }
    // SAFETY: plain calls; the position is put back. The server reads and writes at positions that it names.
    let size = unsafe {
        let here = lseek(fd, 0, 1);
        let size = lseek(fd, 0, 2);
        lseek(fd, here, 0);
        size
    };
    if end <= size {
        return false;
    }
    // SAFETY: the thread's own variable.
    unsafe { *__errno_location() = ENOSPC };
    true
}

/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, data: *const c_void, length: usize, at: i64) -> isize {
    if no_room(fd, at + length as i64) {
        return -1;
    }
    // SAFETY: passed on unchanged.
    unsafe { syscall(number::PWRITE, fd, data, length, at) as isize }
}

/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(
    fd: c_int,
    buffers: *const Buffer,
    count: c_int,
    at: i64,
) -> isize {
    // SAFETY: as many buffers as the caller says.
    let length: usize = (0..count as usize)
        .map(|nth| unsafe { (*buffers.add(nth)).length })
        .sum();
    if no_room(fd, at + length as i64) {
        return -1;
    }
    // SAFETY: passed on unchanged; the last argument is the upper half of a position of 64 bits.
    unsafe {
        syscall(
            number::PWRITEV,
            fd,
            buffers,
            count as c_long,
            at,
            0 as c_long,
        ) as isize
    }
}

/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, data: *const c_void, length: usize) -> isize {
    if control().full.load(Ordering::Relaxed) != 0 {
        // SAFETY: a plain call, which fails for what has no position.
        let here = unsafe { lseek(fd, 0, 1) };
        if here >= 0 && no_room(fd, here + length as i64) {
            return -1;
        }
    }
    // SAFETY: passed on unchanged.
    unsafe { syscall(number::WRITE, fd, data, length) as isize }
}

/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate(fd: c_int, at: i64, length: i64) -> c_int {
    if no_room(fd, at + length) {
        return ENOSPC;
    }
    // SAFETY: passed on unchanged. The error is the result of this function, not errno.
    unsafe {
        if syscall(number::FALLOCATE, fd, 0 as c_long, at, length) == 0 {
            0
        } else {
            *__errno_location()
        }
    }
}
