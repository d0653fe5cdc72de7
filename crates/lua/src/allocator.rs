//! mimalloc as the allocator of a process. LuaJIT's memory comes from there, with all other.
//!
//! Where nothing more is asked for than all its blocks have, it is asked plainly: when it is told any alignment at all, it
//! makes most blocks above a kilobyte larger than they have to be, and takes longer to give and to free them.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
