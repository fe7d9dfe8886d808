//! Ways through the pages in a browser, as people go them.

use super::{Chrome, until};
