-- Counts, and forgets the names of what has expired.
-- KEYS  hosts
-- ARGV  2 how many milliseconds what ended is kept
-- Returns how many are open, dead, refused and gone, and the age of the oldest open one in milliseconds.
local counts = {call('ZCARD', prefix .. 'state:open')}
for _, state in ipairs({'dead', 'refused', 'gone'}) do
  call('ZREMRANGEBYSCORE', prefix .. 'state:' .. state, '-inf', now - ARGV[2])
  table.insert(counts, call('ZCARD', prefix .. 'state:' .. state))
end
local first = call('ZRANGE', prefix .. 'state:open', 0, 0, 'WITHSCORES')
table.insert(counts, first[2] and now - first[2] or 0)
return counts
