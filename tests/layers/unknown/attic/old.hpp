#pragma once
/// A folder that is not in the table.
