-- Gives the active continuous subscriptions of an owner and a group.
-- KEYS  their set
-- Returns the fields of each.
local rows, set = {}, KEYS[1]
for _, id in ipairs(call('SMEMBERS', set)) do
  local s = call('HMGET', prefix .. 's:' .. id, unpack(fields))
  if s[8] == 'active' then
    table.insert(rows, s)
  else -- Redis has lost it, or evicted it
    call('SREM', set, id)
  end
end
return rows
