//! The demo as a visitor meets it: the emulator's page, and the whole of it at work.

mod live;
mod page;
