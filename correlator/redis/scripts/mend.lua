-- Removes keys that hold another type than ours do: somebody else has written them.
--
-- KEYS  some of those that a script names
-- Returns how many it has removed.
local types = {inbox = 'hash', trip = 'hash', left = 'hash', watch = 'set', alive = 'string', merged = 'hash', events = 'list', name = 'hash'}
local removed = 0
for _, key in ipairs(KEYS) do
  local is = redis.call('TYPE', key)['ok']
  local own = types[string.match(key, '}:(%a+)') or 'alive'] -- a client's key has no braces, and is a string
  if own and is ~= 'none' and is ~= own then
    redis.call('UNLINK', key)
    removed = removed + 1
  end
end
return removed
