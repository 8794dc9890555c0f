-- KEYS  hosts
-- ARGV  ids, from 2 on
-- Returns 1 when any of these notifications is open, else 0.
for i = 2, #ARGV do
  if call('HGET', prefix .. 'n:' .. ARGV[i], 'state') == 'open' then
    return 1
  end
end
return 0
