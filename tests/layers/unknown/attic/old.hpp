#pragma once
/// A folder that the table does not know.
