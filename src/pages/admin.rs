//! Pages of admins.
