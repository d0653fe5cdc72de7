//! mimalloc as the allocator of a process. LuaJIT's memory comes from there, with all other.
//!
//! Where nothing more is asked for than all its blocks have, it is asked plainly: when it is told any alignment at all, it
//! makes most blocks above a kilobyte larger than they have to be, and takes longer to give and to free them.
//!
//! It asks the system for huge pages, which serve what is always in use well: handlers that make much garbage take some percent
//! less. They do not serve what grows and is given back soon, as a script that runs away does. Each has to be cleared as a
//! whole when it is touched, by a thread that cannot be interrupted meanwhile, and on a virtual machine the host often has to
//! find the memory for it first, which holds up the other processors too. So only where the heap begins there are huge pages.

use std::{
    alloc::{GlobalAlloc, Layout},
    ffi::c_int,
    ops::Range,
};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_option_set_enabled, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// What of the heap may lie in huge pages: about what a few workers have in use when nothing goes on.
const IN_HUGE_PAGES: usize = 32 << 20;

/// Whether the allocator asks for huge pages where it takes memory from the system. The binding has no name for it.
const MI_OPTION_ALLOW_THP: c_int = 43;

#[derive(Debug)]
pub struct Allocator;

/// Whether every block of that size is aligned so: to 16 bytes, or to 8 if it is smaller.
const fn is_usual(size: usize, alignment: usize) -> bool {
    alignment <= 8 || (alignment <= 16 && size >= 16)
}

// SAFETY: mimalloc's functions keep the contract, as they are given what the caller vouches for: sizes that are not zero,
// alignments that are powers of two, and blocks that came from here.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        // SAFETY: see above.
        unsafe {
            if is_usual(size, alignment) { mi_malloc(size) } else { mi_malloc_aligned(size, alignment) }
                .cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        // SAFETY: see above.
        unsafe {
            if is_usual(size, alignment) { mi_zalloc(size) } else { mi_zalloc_aligned(size, alignment) }
                .cast()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: see above.
        unsafe { mi_free(block.cast()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let alignment = layout.align();
        // SAFETY: see above.
        unsafe {
            if is_usual(size, alignment) {
                mi_realloc(block.cast(), size)
            } else {
                mi_realloc_aligned(block.cast(), size, alignment)
            }
            .cast()
        }
    }
}

/// From now on the heap grows in pages of the usual size. To be called when a process begins, with what `/proc/self/maps` says
/// of it.
pub fn grow_in_small_pages(maps: &str) {
    // SAFETY: it sets a number that is read where memory is taken from the system; a block is given and freed once.
    let block = unsafe {
        mi_option_set_enabled(MI_OPTION_ALLOW_THP, false);
        let block = mi_malloc(1);
        mi_free(block);
        block.addr()
    };
    // That begins with the next gibibyte. The first has been taken before anything could be said.
    let Some(taken) = mapping(maps, block) else { return };
    let grown = taken.start.saturating_add(IN_HUGE_PAGES)..taken.end;
    if !grown.is_empty() {
        // SAFETY: it says by which pages memory is to be had that is mapped there, whatever that is; what is in it stays as it is.
        // Refused, they stay what they were.
        unsafe {
            let from = std::ptr::with_exposed_provenance_mut(grown.start);
            libc::madvise(from, grown.len(), libc::MADV_NOHUGEPAGE);
        }
    }
}

/// The addresses that the system has given out in one piece, this one among them.
fn mapping(maps: &str, address: usize) -> Option<Range<usize>> {
    let range = |line: &str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    };
    maps.lines().filter_map(range).find(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_heap_grows_by_is_not_in_huge_pages() {
        // More than is taken from the system at once, so that more is. Nothing of it is touched.
        let grow = || {
            // SAFETY: it asks for a block, which is not used and never freed.
            let block = unsafe { mi_malloc(1 << 30) }.addr();
            mapping(&maps(), block).expect("it is mapped")
        };
        // SAFETY: as above.
        let small = unsafe { mi_malloc(1) }.addr();
        let small = mapping(&maps(), small).expect("it is mapped");
        grow_in_small_pages(&maps());
        let grown = grow();
        assert!(!flags(&grown).contains(&"hg".to_owned()), "{:?}", flags(&grown));
        assert!(flags(&(small.start + IN_HUGE_PAGES..small.end)).contains(&"nh".to_owned()), "{small:?}");
    }

    fn maps() -> String {
        fs::read_to_string("/proc/self/maps").unwrap()
    }

    /// What the system says of a mapping.
    fn flags(range: &Range<usize>) -> Vec<String> {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let head = format!("{:x}-{:x} ", range.start, range.end);
        let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&head));
        let flags = lines
            .find_map(|line| line.strip_prefix("VmFlags:"))
            .unwrap_or_else(|| panic!("{head} in {smaps}"));
        flags.split_whitespace().map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn blocks_are_aligned_and_keep_what_is_in_them(
            sizes in prop::collection::vec(1_usize..70_000, 1..20),
            power in 0_u32..9,
        ) {
            let alignment = 1 << power;
            let mut layout = Layout::from_size_align(sizes[0], alignment).unwrap();
            // SAFETY: the block is as large as its layout says, is written to and read within that, and freed once.
            unsafe {
                let mut block = Allocator.alloc_zeroed(layout);
                prop_assert!(std::slice::from_raw_parts(block, layout.size()).iter().all(|&byte| byte == 0));
                block.write_bytes(7, layout.size());
                for &size in &sizes {
                    block = Allocator.realloc(block, layout, size);
                    prop_assert_eq!(block as usize % alignment, 0);
                    let kept = std::slice::from_raw_parts(block, size.min(layout.size()));
                    prop_assert!(kept.iter().all(|&byte| byte == 7));
                    block.write_bytes(7, size);
                    layout = Layout::from_size_align(size, alignment).unwrap();
                }
                Allocator.dealloc(block, layout);
                let another = Allocator.alloc(layout);
                prop_assert_eq!(another as usize % alignment, 0);
                Allocator.dealloc(another, layout);
            }
        }
    }
}
