//! What the machine promises, told as stories.

use super::*;
use crate::protocol::EventKind;
